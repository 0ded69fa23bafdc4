"""Quantus 0.6 as the oracle of what it has in the same definition, for maps without equal values."""

import warnings

import numpy as np
import pytest
import torch

from pipeline.metrics.localisation import rank_accuracy, share_inside
from pipeline.metrics.sparseness import gini_index

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its imports say of other libraries
    import quantus


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(1, 4, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def masks() -> torch.Tensor:
    inside = torch.zeros(4, 20, 24, dtype=torch.bool)
    for image in range(4):
        inside[image, image : 8 + image, 3 : 9 + 2 * image] = True
    return inside


def test_gini_is_its_sparseness(maps: torch.Tensor) -> None:
    magnitudes = maps[0].abs()
    expected = quantus.Sparseness(disable_warnings=True).evaluate_batch(x_batch=None, a_batch=magnitudes.numpy().copy())
    shares = magnitudes.flatten(1) / magnitudes.sum((1, 2))[:, None]
    np.testing.assert_allclose(gini_index(shares), expected, rtol=1e-5)  # it adds 1e-7 to each value


def test_entropy_is_its_complexity(maps: torch.Tensor) -> None:
    magnitudes = maps[0].abs()
    expected = quantus.Complexity(disable_warnings=True).evaluate_batch(x_batch=None, a_batch=magnitudes.numpy().copy())
    shares = magnitudes.flatten(1) / magnitudes.sum((1, 2))[:, None]
    np.testing.assert_allclose(torch.special.entr(shares).sum(1), expected, rtol=1e-8)


def test_mass_and_rank_are_its_accuracies(maps: torch.Tensor, masks: torch.Tensor) -> None:
    magnitudes = maps.abs()
    given = {"a_batch": magnitudes[0].numpy(), "s_batch": masks.numpy()}
    mass = quantus.RelevanceMassAccuracy(disable_warnings=True).evaluate_batch(**given)
    rank = quantus.RelevanceRankAccuracy(disable_warnings=True).evaluate_batch(**given)
    np.testing.assert_allclose(share_inside(magnitudes, masks)[0], mass, rtol=1e-12)
    np.testing.assert_allclose(rank_accuracy(magnitudes, masks)[0], rank, rtol=1e-12)


def test_a_hit_is_its_pointing_games(maps: torch.Tensor, masks: torch.Tensor) -> None:
    maps[0, 0, 2, 5] = maps[0, 1, 19, 23] = 9.0  # inside, outside
    expected = quantus.PointingGame(disable_warnings=True).evaluate_batch(
        a_batch=maps[0].numpy(), s_batch=masks.numpy()
    )
    largest = (maps == maps.amax((2, 3), keepdim=True)).double()
    np.testing.assert_array_equal(share_inside(largest, masks)[0], np.asarray(expected, float))
    assert expected[0] and not expected[1]
