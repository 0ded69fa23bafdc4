"""A run's maps and predictions -> all that is found in them without asking the model again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.audit.classes import Means, describe, places
from pipeline.audit.confidence import Confidence
from pipeline.audit.confusions import confusions
from pipeline.audit.findings import Arrays, Audit, ClassFindings, RunFacts, Totals
from pipeline.audit.images import Images
from pipeline.audit.labels import doubts, suggestions
from pipeline.audit.pooling import GRID, pooled
from pipeline.engine.geometry import NoPlaces
from pipeline.report.words import printable
from pipeline.store.layout import plain_folder
from pipeline.store.source import Source
from pipeline.store.summary import total

LISTED = 1000
"""Of each list, at most; the totals count all."""


def survey(source: Source) -> Audit:
    """Audits what is published of a run.

    Raises:
        StoreError: Nothing is published yet, or something is damaged.
    """
    images = Images.of(source)
    confidence = Confidence.of(images)
    suggested = suggestions(images, confidence)
    maps = _pooled(images)
    sums = total(source.ledger.summary(shard) for shard in source.shards)
    failures = {int(label): int(counts["failures"]) for label, counts in sums["classes"].items()}
    classes, means = [], Means()
    groups = dict(images.groups())
    for number in sorted({*groups, *(label for label, count in failures.items() if count)}):
        positions = groups.get(number, np.empty(0, np.int64))
        found = describe(images, confidence, number, positions)
        located = places(maps[positions], images.row[positions], means) if maps is not None else {}
        counts: dict[str, Any] = {
            "failures": failures.get(number, 0),
            "doubted": int((suggested[positions] >= 0).sum()),
        }
        classes.append(replace(found, **counts, **located))
    return Audit(
        run=_facts(images, sums, located=maps is not None),
        totals=_totals(images, suggested, classes),
        classes=classes,
        doubts=doubts(images, confidence, suggested, LISTED),
        outliers=[],
        unfaithful=[],
        confusions=confusions(images, confidence, LISTED),
        alike=[],
        comparison=None,
        arrays=_arrays(images, confidence, means),
    )


def _pooled(images: Images) -> np.ndarray | None:
    try:
        return pooled(images, plain_folder(images.source.run))
    except NoPlaces:
        return None


def _facts(images: Images, sums: Mapping[str, Any], *, located: bool) -> RunFacts:
    source, attributes = images.source, images.source.attributes
    height, width = source.manifest.preprocessing["crop"]
    return RunFacts(
        folder=printable(str(source.run)),
        fingerprint=source.manifest.fingerprint,
        method=attributes["method"],
        options=attributes["options"],
        target=attributes["target_option"],
        output=attributes["output"],
        model=attributes["model"],
        weights_sha256=attributes["weights_sha256"],
        root=printable(source.manifest.root),
        images=len(source.manifest),
        audited=len(images),
        failures=sums["failures"],
        missing_shards=source.manifest.n_shards - len(source.shards),
        height=height,
        width=width,
        pooled=located,
    )


def _totals(images: Images, suggested: np.ndarray, classes: list[ClassFindings]) -> Totals:
    labelled, doubted = int(images.labelled.sum()), int((suggested >= 0).sum())
    return Totals(
        accuracy=float(images.correct[images.labelled].mean()) if labelled else None,
        zero_maps=sum(one.zero_maps for one in classes),
        doubted=doubted,
        doubted_share=doubted / labelled if labelled else None,
        outliers=0,
        unfaithful=0,
        unfaithful_share=None,
        suspects=0,
        confirmed=0,
    )


def _arrays(images: Images, confidence: Confidence, means: Means) -> Arrays:
    def grids(maps: list[np.ndarray]) -> np.ndarray:
        return np.array(maps, np.float32).reshape(-1, GRID, GRID)

    return Arrays(
        mean=grids(means.mean),
        variance=grids(means.variance),
        cluster_mean=grids([]),
        row=images.row,
        group=images.group,
        cluster=np.full(len(images), -1, np.int32),
        embedding=np.full((len(images), 2), np.nan, np.float32),
        self_confidence=confidence.label.astype(np.float32),
        margin=confidence.margin.astype(np.float32),
    )
