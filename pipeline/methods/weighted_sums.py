"""Weighted sums of gradients per image, added chunk by chunk."""

import torch
from torch import Tensor


class WeightedSums:
    """A weighted sum for each image, in the memory format of its summands: adding another format is ten times slower.

    Args:
        images: Number of images.
    """

    def __init__(self, images: int) -> None:
        self._sums: list[Tensor | None] = [None] * images

    def add(self, image: Tensor, values: Tensor, weights: Tensor | None = None) -> None:
        """Add the values at points, one point after the other: the sum does not depend on the chunk.

        Args:
            image: (P,) int64, the image that each point belongs to.
            values: (P, *), such as gradients.
            weights: (P,); None for 1.
        """
        numbers = image.tolist()
        # allocated before anything is added: a chunk that runs out of memory is evaluated again, and added once
        for number in set(numbers):
            if self._sums[number] is None:
                self._sums[number] = torch.zeros_like(values[0])
        factors = [1.0] * len(values) if weights is None else weights.tolist()
        for number, value, factor in zip(numbers, values, factors, strict=True):
            image_sum = self._sums[number]
            assert image_sum is not None
            image_sum.add_(value, alpha=factor)

    def result(self) -> Tensor:
        """Return the sums, (images, *)."""
        return torch.stack([image_sum for image_sum in self._sums if image_sum is not None])
