"""Normalised values equal those of Captum's visualize_image_attr, except where Captum stops with an error."""

import numpy as np
import pytest

from pipeline.visualize import SIGNS, normalize, threshold

from .conftest import SIZE


@pytest.mark.parametrize("outlier_perc", [0.5, 2, 50, 90])
@pytest.mark.parametrize("sign", SIGNS)
def test_normalize_equals_captum(map_: np.ndarray, sign: str, outlier_perc: float) -> None:
    captum = pytest.importorskip("captum.attr._utils.visualization")
    expected = captum._normalize_attr(map_.sum(0), sign, outlier_perc)
    scaled = normalize(map_, sign=sign, outlier_perc=outlier_perc)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_without_outliers_the_maximum_is_one(seed: int) -> None:
    """Captum's threshold then exceeds the sum now and then, by rounding, and it stops with an IndexError."""
    map_ = np.random.default_rng(seed).standard_t(2, SIZE)
    np.testing.assert_array_equal(normalize(map_, outlier_perc=0), map_ / np.abs(map_).max())


@pytest.mark.parametrize("sign", SIGNS)
def test_zeros_stay_zeros_and_constants_are_one_colour(sign: str) -> None:
    """Captum stops with an AssertionError at zeros, also where none of the values has the wanted sign."""
    assert not normalize(np.zeros(SIZE), sign=sign).any()
    assert np.unique(normalize(np.full(SIZE, 3e-7), sign=sign)).tolist() == [0.0 if sign == "negative" else 1.0]


def test_one_scale_makes_maps_comparable(map_: np.ndarray) -> None:
    small = map_ / 4
    assert np.array_equal(normalize(small), normalize(map_))
    scale = threshold(map_)
    assert threshold(small) == scale / 4
    assert np.array_equal(normalize(map_, scale=scale), normalize(map_))
    np.testing.assert_allclose(normalize(small, scale=scale), np.clip(map_.sum(0) / scale / 4, -1, 1), atol=1e-12)


def test_impossible_options_are_refused(map_: np.ndarray) -> None:
    with pytest.raises(ValueError, match="sign is one of"):
        normalize(map_, sign="both")
    with pytest.raises(ValueError, match="percentage"):
        normalize(map_, outlier_perc=101)
    with pytest.raises(ValueError, match="shape"):
        normalize(np.zeros(4))
    with pytest.raises(ValueError, match="scale is a magnitude above 0"):
        normalize(map_, scale=0)
    map_[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        normalize(map_)
