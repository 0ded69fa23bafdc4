"""Images whose map stands alone: local outlier factors (Breunig et al. 2000, doi 10.1145/335191.335388)."""

import numpy as np
from sklearn.neighbors import LocalOutlierFactor

FEWEST = 12
"""Maps that a class must have."""
NEIGHBOURS = 10
OUTSIDE = 1.5
"""Factor from which a map stands alone."""


def factors(maps: np.ndarray) -> np.ndarray:
    """Local outlier factor of each map of a class, float (n,), about 1 inside a crowd; NaN if there are too few.

    Args:
        maps: (n, GRID * GRID), each sums to 1; distances are those of their square roots (Hellinger).
    """
    if len(maps) < FEWEST:
        return np.full(len(maps), np.nan)
    found = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, len(maps) - 1)).fit(np.sqrt(maps))
    factor: np.ndarray = -found.negative_outlier_factor_
    return factor
