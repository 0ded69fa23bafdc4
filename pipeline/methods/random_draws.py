"""Random draws from each image's own seed: the same on any device, in any batch, in any chunk."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pipeline.methods.method import image_seeds


def sample_seeds(seeds: Tensor, numbers: Iterable[int]) -> Tensor:
    """Derive a seed for each sample from those of the images (N,) and the samples' numbers (S,): int64 (N, S)."""
    numbers = list(numbers)
    return torch.stack([image_seeds(seed, numbers) for seed in seeds.tolist()])


def normal_noise(images: Tensor, seeds: Tensor) -> Tensor:
    """Draw standard normal noise like images (N, C, H, W), one seed (N,) for each image."""
    # drawn on the CPU in float32: a GPU's generator, or another dtype, gives other numbers for the same seed
    noise = [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return torch.stack(noise).to(images)


def stdev_tensor(stdevs: float | list[float]) -> Tensor:
    """Convert the option ``stdevs`` to float64 (1, 1, 1) or (C, 1, 1), which multiplies (N, C, H, W).

    Raises:
        ValueError: If a standard deviation is negative or not a number.
    """
    values = stdevs if isinstance(stdevs, list | tuple) else [stdevs]
    if not values or not all(isinstance(value, int | float) and value >= 0 for value in values):
        raise ValueError(f"stdevs must be a number from 0, or one for each channel, not {stdevs!r}")
    return torch.tensor(values, dtype=torch.float64)[:, None, None]
