"""Ranks of pixels by relevance, and rank correlation."""

import torch
from torch import Tensor


def pixel_ranks(maps: Tensor, seeds: Tensor) -> Tensor:
    """Rank of each pixel in descending order of its map, from 0; ties are broken at random.

    Args:
        maps: (M, N, H, W).
        seeds: (N,), from which each image draws the order of tied pixels, the same for all its maps.

    Returns:
        (M, N, H, W) int64.
    """
    values = maps.flatten(2)
    count = values.shape[2]
    drawn = [torch.randperm(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    shuffle = torch.stack(drawn).to(maps.device).expand(values.shape)
    # a stable sort of shuffled pixels leaves ties in the shuffled order
    order = shuffle.gather(2, values.gather(2, shuffle).argsort(dim=2, descending=True, stable=True))
    numbers = torch.arange(count, device=maps.device).expand(values.shape)
    return torch.empty_like(order).scatter_(2, order, numbers).reshape(maps.shape)


def average_ranks(values: Tensor) -> Tensor:
    """Rank of each value along the last axis, from 0; ties share their mean rank. float64, same shape."""
    values = values.contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values, side="left")
    up_to = torch.searchsorted(ordered, values, side="right")
    return (below + up_to - 1).double() / 2


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation along the last axis, float64; NaN where all values of one side are equal."""
    sides = [average_ranks(side) for side in torch.broadcast_tensors(first, second)]
    one, other = (side - side.mean(-1, keepdim=True) for side in sides)
    product = (one.square().sum(-1) * other.square().sum(-1)).sqrt()
    return torch.where(product > 0, (one * other).sum(-1) / product, torch.nan)
