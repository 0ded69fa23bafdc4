"""Gini index and entropy: definitions written again, known maps."""

import math

import numpy as np
import torch

from pipeline.metrics import Sparseness
from tests.metrics.known_networks import SIZE, Constant, Linear, batch_of, maps_with_controls
from tests.networks import images


def test_sparseness_of_known_maps_and_by_the_definitions() -> None:
    one, flat = torch.zeros(2, SIZE, SIZE).double()
    one[2, 3], flat = -7, flat + 0.5
    drawn = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(2)).double()
    maps = torch.stack((one, flat, drawn, torch.zeros_like(one)))[:, None]
    scores = Sparseness().measure(batch_of(Linear(), images(1, SIZE, SIZE)), maps).scores
    gini, entropy = scores["gini"][:, 0], scores["entropy"][:, 0]
    pixels = SIZE**2
    torch.testing.assert_close(gini[:2], torch.tensor([1 - 1 / pixels, 0.0], dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy[:2], torch.tensor([0.0, math.log(pixels)], dtype=torch.float64))
    sizes = np.sort(np.abs(drawn.numpy().ravel()))
    numbers = np.arange(1, pixels + 1)
    assert abs(gini[2] - ((2 * numbers - pixels - 1) * sizes).sum() / (pixels * sizes.sum())) < 1e-12
    shares = sizes / sizes.sum()
    assert abs(entropy[2] + (shares * np.log(shares)).sum()) < 1e-12
    assert gini[3].isnan() and entropy[3].isnan()


def test_an_even_random_map_has_a_gini_of_a_third() -> None:
    x = images(4, 64, 64)
    batch = batch_of(Constant(), x)
    gini = Sparseness().measure(batch, maps_with_controls(batch, x.sum(1))).scores["gini"][1]
    assert (gini - 1 / 3).abs().max() < 0.02
