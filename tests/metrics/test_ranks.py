"""Ranks of pixels and rank correlation, with ties."""

import numpy as np
import torch
from scipy.stats import spearmanr

from pipeline.metrics.ranks import pixel_ranks, spearman
from tests.metrics.known_networks import SIZE


def test_spearman_is_scipys_with_ties_too() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randint(0, 6, (2, 5, 40), generator=generator).double()
    expected = [spearmanr(one, other).statistic for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second).numpy(), expected, atol=1e-12)
    assert spearman(torch.ones(3), torch.arange(3.0)).isnan()


def test_tied_pixels_come_in_a_random_order_of_each_image() -> None:
    flat = torch.zeros(2, 2, SIZE, SIZE)
    flat[:, :, 3] = 1
    ranks = pixel_ranks(flat, torch.tensor([4, 9]))
    assert torch.equal(ranks.flatten(2).sort(2).values, torch.arange(SIZE**2).expand(2, 2, -1))
    assert torch.equal(ranks[:, :, 3].flatten(1).sort(1).values, torch.arange(SIZE).repeat_interleave(2).expand(2, -1))
    assert torch.equal(ranks[0], ranks[1]) and not torch.equal(ranks[0, 0], ranks[0, 1])
    assert torch.equal(ranks[:, :1], pixel_ranks(flat[:, :1], torch.tensor([4])))
