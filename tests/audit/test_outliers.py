"""Outlier factors of drawn maps."""

import numpy as np

from pipeline.audit.outliers import MIN_MAPS, MIN_OUTLIER_FACTOR, outlier_factors


def maps(count: int) -> np.ndarray:
    cells = np.random.default_rng(0).uniform(0.9, 1.1, (count, 256))
    return cells / cells.sum(1, keepdims=True)


def test_the_map_that_differs_has_the_highest_factor() -> None:
    drawn = maps(30)
    drawn[7] = 0
    drawn[7, :16] = 1 / 16
    factors = outlier_factors(drawn)
    assert factors.argmax() == 7 and factors[7] > MIN_OUTLIER_FACTOR
    assert (np.delete(factors, 7) < MIN_OUTLIER_FACTOR).all()


def test_a_small_class_has_none() -> None:
    assert np.isnan(outlier_factors(maps(MIN_MAPS - 1))).all() and np.isfinite(outlier_factors(maps(MIN_MAPS))).all()
