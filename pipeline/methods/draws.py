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
