"""Comparison of two runs over the same images, such as of two checkpoints or two methods."""

import os
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.audit.agreement import is_another_method, with_agreement
from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.image_findings import ClassComparison, RunComparison
from pipeline.audit.image_table import ImageTable
from pipeline.audit.pooled_maps import GRID, pooled_maps, temporary_array
from pipeline.errors import UsageError
from pipeline.metrics.ranks import spearman
from pipeline.store.manifest import Manifest
from pipeline.store.shard_reader import ShardReader

TOP_CELLS = GRID * GRID // 10
"""Number of cells that are the tenth of a map with most mass."""


@dataclass(frozen=True)
class MapSimilarity:
    """Similarity of the maps of images that two runs explain, (n,) each; NaN where a map has no positive part.

    Attributes:
        group: Class in the first run.
        correlation: Rank correlation of the cells.
        overlap: Common share of the tenth of the cells with most mass.
    """

    group: np.ndarray
    correlation: np.ndarray
    overlap: np.ndarray


def compare_runs(audit: Audit, source: ShardReader, other: Audit, other_source: ShardReader) -> Audit:
    """Return the audit with its comparison to another run, and with the agreement if that is of another method.

    The comparison is of each run's own scores; only then does the agreement enter the scores.

    Args:
        audit: Audit of a run.
        source: Its shards.
        other: Audit of the other run.
        other_source: Its shards.

    Raises:
        UsageError: The runs explain no image in common, or the maps of one have no place in the image.
    """
    if not (audit.run.pooled and other.run.pooled):
        raise UsageError(
            "task.against: expected two runs whose maps have a place in the image; a layer's units have none"
        )
    images, others = ImageTable.read(source), ImageTable.read(other_source)
    here, there = _common(images, others)
    first, second = pooled_maps(images), pooled_maps(others)
    similarity = _similarity(images.group, first, second, (here, there))
    if not len(similarity.group):
        raise UsageError(
            f"task.against={other.run.folder}: expected a run over images of {audit.run.folder}, found none"
        )
    audit = replace(audit, comparison=_comparison(audit, other, similarity))
    if not is_another_method(audit.run, other.run):
        return audit
    aligned = temporary_array(len(images), GRID * GRID)
    aligned[here] = second[there]
    return with_agreement(audit, images, aligned)


def _comparison(audit: Audit, other: Audit, similarity: MapSimilarity) -> RunComparison:
    numbers = {one.number: one for one in other.classes}
    classes = [_class_comparison(audit, one, other, numbers[one.number], similarity) for one in audit.classes
               if one.number in numbers]  # fmt: skip
    return RunComparison(
        folder=other.run.folder,
        fingerprint=other.run.fingerprint,
        method=other.run.method,
        model=other.run.model,
        images=len(similarity.group),
        correlation=_mean(similarity.correlation),
        overlap=_mean(similarity.overlap),
        classes=sorted(classes, key=lambda one: 2.0 if one.correlation is None else one.correlation),
    )


def top_overlap(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the `TOP_CELLS` with most mass of each row (n, cells) that the other row has in common."""
    first, second = (np.argsort(-cells, axis=1, kind="stable")[:, :TOP_CELLS] for cells in (maps, others))
    overlap: np.ndarray = (first[:, :, None] == second[:, None]).any(2).mean(1)
    return overlap


def _similarity(
    group: np.ndarray, first: np.ndarray, second: np.ndarray, common: tuple[np.ndarray, np.ndarray]
) -> MapSimilarity:
    here, there = common
    correlation, overlap = np.full((2, len(here)), np.nan)
    for part in np.array_split(np.arange(len(here)), max(1, len(here) // 256)):
        maps, other = first[here[part]], second[there[part]]
        filled = part[maps.any(1) & other.any(1)]
        maps, other = first[here[filled]], second[there[filled]]
        correlation[filled] = spearman(torch.from_numpy(maps), torch.from_numpy(other)).numpy()
        overlap[filled] = top_overlap(maps, other)
    return MapSimilarity(group[here], correlation, overlap)


def _common(images: ImageTable, others: ImageTable) -> tuple[np.ndarray, np.ndarray]:
    """Positions in each table of the images that both have, matched by their paths."""
    place = {_path(others.source.manifest, index): position for position, index in enumerate(others.columns["index"])}
    pairs = [
        (position, place[path])
        for position, index in enumerate(images.columns["index"])
        if (path := _path(images.source.manifest, index)) in place
    ]
    here, there = np.array(pairs, np.int64).reshape(-1, 2).T
    return here, there


def _path(manifest: Manifest, index: int) -> bytes:
    return os.path.normpath(manifest.paths[int(index)])


def _class_comparison(
    audit: Audit, here: ClassFindings, other: Audit, there: ClassFindings, similarity: MapSimilarity
) -> ClassComparison:
    own = similarity.group == here.number
    scores = [one.shortcut.score if one.shortcut else None for one in (here, there)]
    suspected = (here.is_suspect, there.is_suspect)
    known = here.accuracy is not None and there.accuracy is not None
    return ClassComparison(
        number=here.number,
        name=here.name,
        images=int(own.sum()),
        correlation=_mean(similarity.correlation[own]),
        overlap=_mean(similarity.overlap[own]),
        mean_overlap=_mean_overlap(audit, here, other, there),
        accuracy=there.accuracy - here.accuracy if known else None,  # type: ignore[operator] # both are numbers
        shortcut=scores[0],
        other_shortcut=scores[1],
        suspect={(True, True): "both", (True, False): "appeared", (False, True): "gone", (False, False): "neither"}[
            suspected
        ],
    )


def _mean_overlap(audit: Audit, here: ClassFindings, other: Audit, there: ClassFindings) -> float | None:
    if here.mean is None or there.mean is None:
        return None
    return float(np.sqrt(audit.arrays.mean[here.mean] * other.arrays.mean[there.mean]).sum())


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
