"""Statistics of pooled maps: mass on the border and in corners, overlap, entropy."""

import numpy as np

from pipeline.audit.pooled_maps import GRID

BORDER = GRID // 8
"""Width of the border, in cells."""
CORNER = 3 * GRID // 8
"""Side of a corner, in cells."""


def border_share(cells: np.ndarray) -> float:
    """Share of a map (GRID * GRID,) in the outer eighth of each side."""
    return float(cells.sum() - _square(cells)[BORDER:-BORDER, BORDER:-BORDER].sum())


def corner_shares(cells: np.ndarray) -> np.ndarray:
    """Shares of a map in its corners, three eighths of each side: top left, top right, bottom left, bottom right."""
    square = _square(cells)
    ends = (slice(None, CORNER), slice(-CORNER, None))
    return np.array([square[rows, columns].sum() for rows in ends for columns in ends])


def mean_pairwise_overlap(maps: np.ndarray) -> float | None:
    """Mean Bhattacharyya coefficient of two different maps, in [0, 1]; None for fewer than two.

    Args:
        maps: (n, GRID * GRID), each sums to 1.
    """
    if len(maps) < 2:
        return None
    roots = np.sqrt(maps, dtype=np.float64)
    total = (roots.sum(0) ** 2).sum()  # over all ordered pairs, n of them of a map with itself (1 each)
    return float((total - len(maps)) / (len(maps) * (len(maps) - 1)))


def normalised_entropy(cells: np.ndarray) -> float:
    """Entropy of a map that sums to 1, as a share of a uniform map's."""
    mass = cells[cells > 0].astype(np.float64)
    return float(-(mass * np.log(mass)).sum() / np.log(len(cells)))


def nearest_maps(maps: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the maps nearest to a mean map by Bhattacharyya coefficient, the nearest first."""
    return np.argsort(-(np.sqrt(maps) @ np.sqrt(mean)), kind="stable")[:count]


def _square(cells: np.ndarray) -> np.ndarray:
    return cells.reshape(GRID, GRID)
