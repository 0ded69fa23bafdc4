"""Mean maps of classes, and what a class is compared with."""

from collections.abc import Mapping

import numpy as np

from pipeline.audit.pooling import GRID


def class_means(groups: Mapping[int, np.ndarray], maps: np.ndarray) -> dict[int, np.ndarray]:
    """Mean map of each class that has one, float64 (GRID * GRID,), sums to 1.

    Args:
        groups: Positions of each class's images.
        maps: Pooled, (n, GRID * GRID).
    """
    sums = {number: maps[positions].sum(0, dtype=np.float64) for number, positions in groups.items()}
    return {number: whole / whole.sum() for number, whole in sums.items() if whole.any()}


def others(means: Mapping[int, np.ndarray], number: int) -> np.ndarray:
    """Mean of the other classes' mean maps; an even map where there are none."""
    rest = [mean for other, mean in means.items() if other != number]
    return np.full(GRID * GRID, 1 / GRID**2) if not rest else np.asarray(sum(rest) / len(rest))
