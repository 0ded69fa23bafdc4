"""Gaussian blur: a replica by loops, and constant maps that stay constant."""

import math

import numpy as np
import pytest

from pipeline.visualize.blur import blur

from .conftest import SIZE


def test_blur_keeps_a_constant_map() -> None:
    np.testing.assert_allclose(blur(np.full(SIZE, 3.0), 2.5), 3.0, rtol=1e-12)


@pytest.mark.parametrize("deviation", [0.5, 3.0])
def test_replica(deviation: float) -> None:
    """Each blurred pixel is a mean over all pixels, with weights by their distance: the border has fewer neighbours."""
    values = np.random.default_rng(0).standard_normal((4, 6))
    expected = np.zeros_like(values)
    for y, x in np.ndindex(values.shape):
        weights = np.array(
            [[math.exp(-((y - j) ** 2 + (x - i) ** 2) / (2 * deviation**2)) for i in range(6)] for j in range(4)]
        )
        expected[y, x] = (weights * values).sum() / weights.sum()
    np.testing.assert_allclose(blur(values, deviation), expected, rtol=1e-12)
