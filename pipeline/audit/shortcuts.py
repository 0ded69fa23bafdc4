"""How much a class looks as if it rested on a shortcut: a place where its maps have mass that others' have not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from pipeline.audit.clusters import Partition
from pipeline.audit.evidence import Box, Shortcut
from pipeline.audit.map_statistics import border, corners
from pipeline.audit.pooling import GRID

FEWEST = 3
"""Images that a suspicion must be about."""


@dataclass(frozen=True)
class Candidate:
    """Images of a class that may share a shortcut.

    Attributes:
        members: Numbers of their maps in the class.
        cluster: Number of the cluster, None for the whole class.
        apart: Mean silhouette.
    """

    members: np.ndarray
    cluster: int | None
    apart: float


def shortcut(maps: np.ndarray, others: np.ndarray, parted: Partition | None, shape: tuple[int, int]) -> Shortcut | None:
    """The likeliest shortcut of a class.

    Args:
        maps: Pooled, of the class, (n, GRID * GRID), each sums to 1.
        others: Mean map of the other classes, (GRID * GRID,).
        parted: Its clusters, None where they were not looked for.
        shape: (H, W) of the model's input.

    Returns:
        That of the candidate (the class, each cluster) with the highest score; None if there are too few maps.
    """
    found = [_of(candidate, maps[candidate.members], others, shape) for candidate in _candidates(len(maps), parted)]
    return max(found, key=lambda one: one.score, default=None)


def region(contrast: np.ndarray) -> tuple[slice, slice]:
    """The box around the cells about the peak that have at least half of its height.

    A cell more on each side where that leaves it within half of the image, in which there is room for controls: a box
    that cut a sign in two would, covered, leave the model enough of it.

    Args:
        contrast: (GRID, GRID), a mean map less the others'.
    """
    high, _ = ndimage.label(contrast >= contrast.max() / 2)
    peak = np.unravel_index(contrast.argmax(), contrast.shape)
    rows, columns = map(_wider, ndimage.find_objects((high == high[peak]).astype(int))[0])
    return rows, columns


def _wider(side: slice) -> slice:
    wider = slice(max(0, side.start - 1), min(GRID, side.stop + 1))
    return wider if wider.stop - wider.start <= GRID // 2 else side


def _candidates(count: int, parted: Partition | None) -> Iterator[Candidate]:
    if count >= FEWEST:
        yield Candidate(np.arange(count), None, 0.0)
    if parted is not None and parted.cluster.any():
        for cluster in range(parted.cluster.max() + 1):
            members = np.flatnonzero(parted.cluster == cluster)
            if len(members) >= FEWEST:
                yield Candidate(members, cluster, float(parted.silhouette[members].mean().clip(0)))


def _of(candidate: Candidate, maps: np.ndarray, others: np.ndarray, shape: tuple[int, int]) -> Shortcut:
    mean = maps.mean(0)
    rows, columns = region((mean - others).reshape(GRID, GRID))
    inside = maps.reshape(-1, GRID, GRID)[:, rows, columns].sum((1, 2))
    mass, elsewhere = float(np.median(inside)), float(others.reshape(GRID, GRID)[rows, columns].sum())
    fullest = int(corners(mean).argmax())
    place = in_place(mass, elsewhere)
    at_border = _beyond(border(mean), border(others))
    in_corner = _beyond(float(corners(mean)[fullest]), float(corners(others)[fullest]))
    return scored(
        Shortcut(
            score=0.0,
            border=at_border,
            corner=in_corner,
            place=place,
            apart=candidate.apart * place,
            cluster=candidate.cluster,
            images=len(maps),
            box=pixels_of(rows, columns, shape),
            mass=mass,
            elsewhere=elsewhere,
        )
    )


def scored(found: Shortcut) -> Shortcut:
    """A shortcut with the mean of its parts as its score."""
    parts = [found.border, found.corner, found.place, found.apart]
    known = parts if found.agreement is None else [*parts, found.agreement]
    return replace(found, score=sum(known) / len(known))


def in_place(mass: float, elsewhere: float) -> float:
    """How far the median share of maps in a box is beyond the others' share in it, times what of it is beyond."""
    return _beyond(mass, elsewhere) * max(0.0, 1 - elsewhere / mass) if mass > 0 else 0.0


def cells(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Which cells of a grid a box is made of, bool (GRID * GRID,): what :func:`pixels_of` made it of."""
    inside = np.zeros((GRID, GRID), bool)
    top, left = (-(-side * GRID // length) for side, length in zip(box[:2], shape, strict=True))
    bottom, right = (side * GRID // length for side, length in zip(box[2:], shape, strict=True))
    inside[top:bottom, left:right] = True
    return inside.ravel()


def _beyond(share: float, expected: float) -> float:
    """How far a share is beyond what is expected, of what it could be, in [0, 1]."""
    return max(0.0, share - expected) / (1 - expected) if expected < 1 else 0.0


def pixels_of(rows: slice, columns: slice, shape: tuple[int, int]) -> Box:
    """Cells as adaptive pooling cuts them: from floor to ceiling."""
    height, width = shape
    top, left = (side.start * length // GRID for side, length in ((rows, height), (columns, width)))
    bottom, right = (-(-side.stop * length // GRID) for side, length in ((rows, height), (columns, width)))
    return top, left, bottom, right
