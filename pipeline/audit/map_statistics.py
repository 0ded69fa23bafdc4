"""Where the mass of pooled maps lies: on the border, in a corner, in the same place."""

import numpy as np

from pipeline.audit.pooling import GRID

BORDER = GRID // 8
"""Cells from each side that are the border."""
CORNER = 3 * GRID // 8
"""Cells along a side of a corner."""


def border(cells: np.ndarray) -> float:
    """Share of a map (GRID * GRID,) in the outer eighth of each side."""
    return float(cells.sum() - _square(cells)[BORDER:-BORDER, BORDER:-BORDER].sum())


def corners(cells: np.ndarray) -> np.ndarray:
    """Shares of a map in its corners, three eighths of each side: top left, top right, bottom left, bottom right."""
    square = _square(cells)
    ends = (slice(None, CORNER), slice(-CORNER, None))
    return np.array([square[rows, columns].sum() for rows in ends for columns in ends])


def coincidence(maps: np.ndarray) -> float | None:
    """Mean Bhattacharyya coefficient of two different maps, in [0, 1]; None for fewer than two.

    Args:
        maps: (n, GRID * GRID), each sums to 1.
    """
    if len(maps) < 2:
        return None
    roots = np.sqrt(maps, dtype=np.float64)
    together = (roots.sum(0) ** 2).sum()  # of all pairs, each image's with itself (1) among them
    return float((together - len(maps)) / (len(maps) * (len(maps) - 1)))


def entropy(cells: np.ndarray) -> float:
    """Entropy of a map that sums to 1, as a share of an even map's."""
    mass = cells[cells > 0].astype(np.float64)
    return float(-(mass * np.log(mass)).sum() / np.log(len(cells)))


def nearest(maps: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the maps that are nearest to a mean map, by Bhattacharyya coefficient, the nearest first."""
    return np.argsort(-(np.sqrt(maps) @ np.sqrt(mean)), kind="stable")[:count]


def _square(cells: np.ndarray) -> np.ndarray:
    return cells.reshape(GRID, GRID)
