"""Shortcut score of a class: mass of its maps in a place where the maps of other classes have none."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from pipeline.audit.clusters import Partition
from pipeline.audit.evidence import Box, Shortcut
from pipeline.audit.map_statistics import border_share, corner_shares
from pipeline.audit.pooled_maps import GRID

MIN_IMAGES = 3
"""Images that a candidate needs at least."""


@dataclass(frozen=True)
class Candidate:
    """Candidate: images of a class that may share a shortcut.

    Attributes:
        members: Numbers of their maps in the class.
        cluster: Number of the cluster, None for the whole class.
        silhouette: Mean silhouette of the cluster, 0 for the whole class.
    """

    members: np.ndarray
    cluster: int | None
    silhouette: float


def likeliest_shortcut(
    maps: np.ndarray, others: np.ndarray, partition: Partition | None, shape: tuple[int, int]
) -> Shortcut | None:
    """The most suspicious candidate of a class: the class itself or one of its clusters.

    Args:
        maps: Pooled maps of the class, (n, GRID * GRID), each sums to 1.
        others: Mean map of the other classes, (GRID * GRID,).
        partition: Its clusters, None if the class has too few maps.
        shape: (H, W) of the model's input.

    Returns:
        The shortcut with the highest score; None if there are too few maps.
    """
    shortcuts = [_score(one, maps[one.members], others, shape) for one in _candidates(len(maps), partition)]
    return max(shortcuts, key=lambda one: one.score, default=None)


def peak_region(contrast: np.ndarray) -> tuple[slice, slice]:
    """Bounding box, in cells, of the connected cells around the peak that have at least half of its height.

    It is one cell wider on each side unless it then exceeds half of the image, which would leave no room for control
    boxes: a box that cut through a watermark would, covered, leave the model enough of it.

    Args:
        contrast: Mean map less that of the other classes, (GRID, GRID).
    """
    component, _ = ndimage.label(contrast >= contrast.max() / 2)
    peak = np.unravel_index(contrast.argmax(), contrast.shape)
    rows, columns = map(_wider, ndimage.find_objects((component == component[peak]).astype(int))[0])
    return rows, columns


def _wider(side: slice) -> slice:
    wider = slice(max(0, side.start - 1), min(GRID, side.stop + 1))
    return wider if wider.stop - wider.start <= GRID // 2 else side


def _candidates(count: int, partition: Partition | None) -> Iterator[Candidate]:
    if count >= MIN_IMAGES:
        yield Candidate(np.arange(count), None, 0.0)
    if partition is not None and partition.cluster.any():
        for cluster in range(partition.cluster.max() + 1):
            members = np.flatnonzero(partition.cluster == cluster)
            if len(members) >= MIN_IMAGES:
                yield Candidate(members, cluster, float(partition.silhouette[members].mean().clip(0)))


def _score(candidate: Candidate, maps: np.ndarray, others: np.ndarray, shape: tuple[int, int]) -> Shortcut:
    mean = maps.mean(0)
    rows, columns = peak_region((mean - others).reshape(GRID, GRID))
    inside = maps.reshape(-1, GRID, GRID)[:, rows, columns].sum((1, 2))
    mass, elsewhere = float(np.median(inside)), float(others.reshape(GRID, GRID)[rows, columns].sum())
    corner = int(corner_shares(mean).argmax())
    place = place_score(mass, elsewhere)
    at_border = _excess(border_share(mean), border_share(others))
    in_corner = _excess(float(corner_shares(mean)[corner]), float(corner_shares(others)[corner]))
    return with_score(
        Shortcut(
            score=0.0,
            border=at_border,
            corner=in_corner,
            place=place,
            apart=candidate.silhouette * place,
            cluster=candidate.cluster,
            images=len(maps),
            box=box_of_cells(rows, columns, shape),
            mass=mass,
            elsewhere=elsewhere,
        )
    )


def with_score(shortcut: Shortcut) -> Shortcut:
    """Return a shortcut with the mean of its parts as its score."""
    parts = [shortcut.border, shortcut.corner, shortcut.place, shortcut.apart]
    known = parts if shortcut.agreement is None else [*parts, shortcut.agreement]
    return replace(shortcut, score=sum(known) / len(known))


def place_score(mass: float, elsewhere: float) -> float:
    """Excess of the median share of maps in a box over the others' share, times the part of it that is in excess."""
    return _excess(mass, elsewhere) * max(0.0, 1 - elsewhere / mass) if mass > 0 else 0.0


def cells_of_box(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Mask of the cells of a box, bool (GRID * GRID,): the inverse of :func:`box_of_cells`."""
    inside = np.zeros((GRID, GRID), bool)
    top, left = (-(-side * GRID // length) for side, length in zip(box[:2], shape, strict=True))
    bottom, right = (side * GRID // length for side, length in zip(box[2:], shape, strict=True))
    inside[top:bottom, left:right] = True
    return inside.ravel()


def _excess(share: float, expected: float) -> float:
    """Excess of a share over the expected one, as a share of the largest possible excess, in [0, 1]."""
    return max(0.0, share - expected) / (1 - expected) if expected < 1 else 0.0


def box_of_cells(rows: slice, columns: slice, shape: tuple[int, int]) -> Box:
    """Box of cells in pixels, from floor to ceiling as in adaptive pooling."""
    height, width = shape
    top, left = (side.start * length // GRID for side, length in ((rows, height), (columns, width)))
    bottom, right = (-(-side.stop * length // GRID) for side, length in ((rows, height), (columns, width)))
    return top, left, bottom, right
