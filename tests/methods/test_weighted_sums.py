"""Weighted sums per image: a replica, the same bits for any chunk, and nothing added by an error."""

import pytest
import torch

from pipeline.methods.weighted_sums import WeightedSums

IMAGE = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])


def values() -> torch.Tensor:
    return torch.randn(9, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weights", [None, torch.linspace(-1, 2, 9).double()], ids=["ones", "weights"])
def test_replica(weights: torch.Tensor | None) -> None:
    sums = WeightedSums(3)
    sums.add(IMAGE, values(), weights)
    factors = torch.ones(9).double() if weights is None else weights
    expected = [sum(factors[p] * values()[p].double() for p in range(9) if IMAGE[p] == image) for image in range(3)]
    torch.testing.assert_close(sums.result().double(), torch.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
def test_the_same_bits_for_any_chunk(chunk: int) -> None:
    together, chunks, weights = WeightedSums(3), WeightedSums(3), torch.linspace(-1, 2, 9).double()
    together.add(IMAGE, values(), weights)
    for start in range(0, 9, chunk):
        part = slice(start, start + chunk)
        chunks.add(IMAGE[part], values()[part], weights[part])
    assert torch.equal(together.result(), chunks.result())


def test_an_error_before_the_sums_adds_nothing() -> None:
    """A chunk that runs out of memory is evaluated again, so it must not be added in part."""
    sums = WeightedSums(2)
    sums.add(torch.tensor([0, 1]), values()[:2])
    with pytest.raises(IndexError):
        sums.add(torch.tensor([0, 2]), values()[:2])  # there is no third image
    assert torch.equal(sums.result(), values()[:2])
