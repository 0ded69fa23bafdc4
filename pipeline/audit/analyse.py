"""A run's maps and predictions -> all that is found in them without asking the model again."""

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.class_statistics import Maps, clusters, describe, places
from pipeline.audit.confusions import confusions
from pipeline.audit.faithfulness import UNFAITHFUL, relative_delta, unfaithful
from pipeline.audit.feature_vectors import features
from pipeline.audit.findings import Arrays, Audit, ClassFindings
from pipeline.audit.image_findings import Outlier
from pipeline.audit.image_table import Images
from pipeline.audit.label_issues import doubts, suggestions
from pipeline.audit.outliers import OUTSIDE
from pipeline.audit.pooling import GRID, class_means, others, pooled
from pipeline.audit.run_totals import facts, totals
from pipeline.audit.similar_classes import alike
from pipeline.audit.suspects import ranked
from pipeline.engine.geometry import NotSpatial
from pipeline.store.shard_reader import ShardReader
from pipeline.store.shard_summary import ShardTotals, sum_summaries

LISTED = 1000
"""Of each list, at most; the totals count all."""


@dataclass(frozen=True)
class Evidence:
    """What is known of each image, (n, ...), filled class by class.

    Attributes:
        confidence: Of the model.
        suggested: Class by confident learning, -1 where the label may stand.
        relative: Relative convergence delta, NaN without.
        factor: Outlier factor of the map, NaN without.
        cluster: In the class, -1 without.
        embedding: (n, 2), NaN without.
    """

    confidence: ClassProbabilities
    suggested: np.ndarray
    relative: np.ndarray
    factor: np.ndarray
    cluster: np.ndarray
    embedding: np.ndarray

    @classmethod
    def of(cls, images: Images) -> "Evidence":
        confidence = ClassProbabilities.of(images)
        unknown = np.full((3, len(images)), np.nan, np.float32)
        return cls(
            confidence,
            suggestions(images, confidence),
            relative_delta(images),
            factor=unknown[0],
            cluster=np.full(len(images), -1, np.int32),
            embedding=unknown[1:].T,
        )

    def learn(self, maps: Maps) -> None:
        """Fills in what the maps of a class tell of its images."""
        self.factor[maps.positions] = maps.factor
        if maps.parted is not None:
            self.cluster[maps.positions] = maps.parted.cluster
            self.embedding[maps.positions] = maps.parted.embedding

    def counts(self, positions: np.ndarray) -> dict[str, Any]:
        """The fields of a class that count its images."""
        return {
            "doubted": int((self.suggested[positions] >= 0).sum()),
            "outliers": int((self.factor[positions] >= OUTSIDE).sum()),
            "unfaithful": int((self.relative[positions] > UNFAITHFUL).sum()),
        }


@dataclass(frozen=True)
class Means:
    """Mean maps and variances of the classes that have maps, and mean maps of clusters, (GRID * GRID,) each."""

    mean: list[np.ndarray] = field(default_factory=list)
    variance: list[np.ndarray] = field(default_factory=list)
    cluster: list[np.ndarray] = field(default_factory=list)


def survey(source: ShardReader, *, by_features: bool = False) -> Audit:
    """Audits what is published of a run; memory holds the maps of one class at a time.

    Args:
        source: Its shards.
        by_features: Whether clusters are of the stored features instead of the maps.

    Raises:
        StoreError: Nothing is published yet, or something is damaged.
        UsageError: There are no features.
    """
    images = Images.of(source)
    evidence, means, maps = Evidence.of(images), Means(), _pooled(images)
    points = features(images) if by_features else None
    sums = sum_summaries(source.ledger.summary(shard) for shard in source.shards)
    by_number = _classes(images, evidence, sums, means=means, maps=maps, points=points)
    classes = ranked(by_number)
    return Audit(
        run=facts(images, sums, located=maps is not None, clusters="features" if by_features else "maps"),
        totals=totals(images, evidence.relative, classes),
        classes=classes,
        doubts=doubts(images, evidence.confidence, evidence.suggested, LISTED),
        outliers=_outliers(images, evidence),
        unfaithful=unfaithful(images, evidence.relative, LISTED),
        confusions=confusions(images, evidence.confidence, LISTED),
        alike=alike(by_number, np.array(means.mean), LISTED),
        comparison=None,
        arrays=_arrays(images, evidence, means),
    )


def _pooled(images: Images) -> np.ndarray | None:
    try:
        return pooled(images)
    except NotSpatial:
        return None


def _classes(
    images: Images,
    evidence: Evidence,
    sums: ShardTotals,
    *,
    means: Means,
    maps: np.ndarray | None,
    points: np.ndarray | None,
) -> list[ClassFindings]:
    """All classes by number; fills in evidence and means."""
    failures = {label: counts.failures for label, counts in sums.classes.items()}
    groups = dict(images.groups())
    whole = {} if maps is None else class_means(groups, maps)
    height, width = images.source.manifest.preprocessing["crop"]
    classes = []
    for number in sorted({*groups, *(label for label, count in failures.items() if count)}):
        positions = groups.get(number, np.empty(0, np.int64))
        found: dict[str, Any] = {"failures": failures.get(number, 0)}
        if maps is not None:
            own = Maps.of(positions, maps[positions], None if points is None else points[positions])
            found["zero_maps"] = len(positions) - len(own.positions)
            if len(own.positions):
                found |= places(images, own, others(whole, number), (height, width))
                found["clusters"], cluster_means = clusters(images, own, len(means.cluster))
                found["mean"] = len(means.mean)
                means.mean.append(own.shares.mean(0))
                means.variance.append(own.shares.var(0))
                means.cluster.extend(cluster_means)
                evidence.learn(own)
        found |= evidence.counts(positions)
        classes.append(replace(describe(images, evidence.confidence, number, positions), **found))
    return classes


def _outliers(images: Images, evidence: Evidence) -> list[Outlier]:
    order = np.argsort(-evidence.factor, kind="stable")  # NaN is last
    paths, index = images.source.manifest.paths, images.columns["index"]
    return [
        Outlier(
            row=int(images.row[position]),
            path=os.fsdecode(paths[int(index[position])]),
            number=int(images.group[position]),
            factor=float(evidence.factor[position]),
        )
        for position in order[: int(np.sum(evidence.factor >= OUTSIDE))][:LISTED].tolist()
    ]


def _arrays(images: Images, evidence: Evidence, means: Means) -> Arrays:
    def grids(maps: list[np.ndarray]) -> np.ndarray:
        return np.array(maps, np.float32).reshape(-1, GRID, GRID)

    return Arrays(
        mean=grids(means.mean),
        variance=grids(means.variance),
        cluster_mean=grids(means.cluster),
        row=images.row,
        group=images.group,
        cluster=evidence.cluster,
        embedding=evidence.embedding,
        self_confidence=evidence.confidence.label.astype(np.float32),
        margin=evidence.confidence.margin.astype(np.float32),
    )
