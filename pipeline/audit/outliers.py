"""Outlier maps of a class by local outlier factors (Breunig et al. 2000, doi 10.1145/335191.335388)."""

import numpy as np
from sklearn.neighbors import LocalOutlierFactor

MIN_MAPS = 12
"""Maps that a class needs at least."""
NEIGHBOURS = 10
"""At most; one less than the maps of a small class."""
MIN_OUTLIER_FACTOR = 1.5
"""Factor from which a map is an outlier."""


def outlier_factors(maps: np.ndarray) -> np.ndarray:
    """Local outlier factor of each map of a class, float (n,), about 1 for inliers; NaN if there are too few maps.

    Args:
        maps: (n, GRID * GRID), each sums to 1; distances are those of their square roots (Hellinger).
    """
    if len(maps) < MIN_MAPS:
        return np.full(len(maps), np.nan)
    fitted = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, len(maps) - 1)).fit(np.sqrt(maps))
    factor: np.ndarray = -fitted.negative_outlier_factor_
    return factor
