"""Two runs over the same images, such as of two checkpoints or two methods: which classes' maps moved."""

import os
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from pipeline.audit.agreement import agreed, by_another_method
from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.image_findings import Comparison, Moved
from pipeline.audit.image_table import Images
from pipeline.audit.pooling import GRID, pooled, scratch
from pipeline.errors import UsageError
from pipeline.store.manifest import Manifest
from pipeline.store.shard_reader import ShardReader

TOP = GRID * GRID // 10
"""Cells that are the fullest tenth of a map."""


@dataclass(frozen=True)
class Agreement:
    """Of the maps of images that two runs explain, (n,) each; NaN where a map has no positive part.

    Attributes:
        group: Class in the first run.
        correlation: Rank correlation of the cells.
        overlap: Share of the fullest tenth of the cells that is common.
    """

    group: np.ndarray
    correlation: np.ndarray
    overlap: np.ndarray


def compare(audit: Audit, source: ShardReader, other: Audit, other_source: ShardReader) -> Audit:
    """The audit with its comparison with another run, and its agreement where that is by another method.

    The comparison is of what each run says alone; then the agreement enters the scores.

    Args:
        audit: Of a run.
        source: Its shards.
        other: Audit of the other run.
        other_source: Its shards.

    Raises:
        UsageError: The runs explain no image in common, or the maps of one belong nowhere in the image.
    """
    if not (audit.run.pooled and other.run.pooled):
        raise UsageError("task.against: maps that belong nowhere in the image cannot be compared")
    images, others = Images.of(source), Images.of(other_source)
    here, there = _common(images, others)
    first, second = pooled(images), pooled(others)
    agreement = _agreement(images.group, first, second, (here, there))
    if not len(agreement.group):
        raise UsageError(f"task.against={other.run.folder}: it explains none of the images of {audit.run.folder}")
    audit = replace(audit, comparison=_comparison(audit, other, agreement))
    if not by_another_method(audit.run, other.run):
        return audit
    aligned = scratch(len(images), GRID * GRID)
    aligned[here] = second[there]
    return agreed(audit, images, aligned)


def _comparison(audit: Audit, other: Audit, agreement: Agreement) -> Comparison:
    numbers = {one.number: one for one in other.classes}
    classes = [_moved(audit, one, other, numbers[one.number], agreement) for one in audit.classes
               if one.number in numbers]  # fmt: skip
    return Comparison(
        folder=other.run.folder,
        fingerprint=other.run.fingerprint,
        method=other.run.method,
        model=other.run.model,
        images=len(agreement.group),
        correlation=_mean(agreement.correlation),
        overlap=_mean(agreement.overlap),
        classes=sorted(classes, key=lambda one: 2.0 if one.correlation is None else one.correlation),
    )


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's, of rows (n, cells) with rows, equal cells sharing their ranks; NaN where all are equal."""
    first, second = (rankdata(cells, axis=1) for cells in (maps, others))
    first, second = (ranks - ranks.mean(1, keepdims=True) for ranks in (first, second))
    norm = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    correlation: np.ndarray = np.where(norm > 0, (first * second).sum(1) / np.where(norm > 0, norm, 1), np.nan)
    return correlation


def top_overlap(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the fullest `TOP` cells of rows (n, cells) that are among those of the other rows."""
    first, second = (np.argsort(-cells, axis=1, kind="stable")[:, :TOP] for cells in (maps, others))
    overlap: np.ndarray = (first[:, :, None] == second[:, None]).any(2).mean(1)
    return overlap


def _agreement(
    group: np.ndarray, first: np.ndarray, second: np.ndarray, common: tuple[np.ndarray, np.ndarray]
) -> Agreement:
    here, there = common
    correlation, overlap = np.full((2, len(here)), np.nan)
    for part in np.array_split(np.arange(len(here)), max(1, len(here) // 256)):
        maps, other = first[here[part]], second[there[part]]
        filled = part[maps.any(1) & other.any(1)]
        maps, other = first[here[filled]], second[there[filled]]
        correlation[filled], overlap[filled] = rank_correlation(maps, other), top_overlap(maps, other)
    return Agreement(group[here], correlation, overlap)


def _common(images: Images, others: Images) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images that both have, by their paths."""
    place = {_path(others.source.manifest, index): position for position, index in enumerate(others.columns["index"])}
    found = [
        (position, place[path])
        for position, index in enumerate(images.columns["index"])
        if (path := _path(images.source.manifest, index)) in place
    ]
    here, there = np.array(found, np.int64).reshape(-1, 2).T
    return here, there


def _path(manifest: Manifest, index: int) -> bytes:
    return os.path.normpath(manifest.paths[int(index)])


def _moved(audit: Audit, here: ClassFindings, other: Audit, there: ClassFindings, agreement: Agreement) -> Moved:
    own = agreement.group == here.number
    scores = [one.shortcut.score if one.shortcut else None for one in (here, there)]
    suspected = (here.is_suspect, there.is_suspect)
    known = here.accuracy is not None and there.accuracy is not None
    return Moved(
        number=here.number,
        name=here.name,
        images=int(own.sum()),
        correlation=_mean(agreement.correlation[own]),
        overlap=_mean(agreement.overlap[own]),
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
