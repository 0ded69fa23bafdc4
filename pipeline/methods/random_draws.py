"""Random draws that depend on an image's seed alone: the same on any device, in any batch, in any chunk."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pipeline.methods.method import image_seeds


def sample_seeds(seeds: Tensor, numbers: Iterable[int]) -> Tensor:
    """A seed for each sample, from those of the images (N,) and the samples' numbers (S,): int64 (N, S)."""
    numbers = list(numbers)
    return torch.stack([image_seeds(seed, numbers) for seed in seeds.tolist()])


def normal(images: Tensor, seeds: Tensor) -> Tensor:
    """Standard normal draws like images (N, C, H, W), one seed each."""
    drawn = [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return torch.stack(drawn).to(images)


def deviations(stdevs: float | list[float]) -> Tensor:
    """Standard deviations as they multiply (N, C, H, W): float64 (1, 1, 1) or (C, 1, 1).

    Raises:
        ValueError: If one is negative or no number.
    """
    values = stdevs if isinstance(stdevs, list | tuple) else [stdevs]
    if not values or not all(isinstance(value, int | float) and value >= 0 for value in values):
        raise ValueError(f"stdevs must be a number from 0, or one for each channel, not {stdevs!r}")
    return torch.tensor(values, dtype=torch.float64)[:, None, None]
