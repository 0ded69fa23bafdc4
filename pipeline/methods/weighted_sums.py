"""Weighted sums of what is found at the points of each image."""

import torch
from torch import Tensor


class WeightedSums:
    """A sum for each image, laid out in memory as what is added to it: other layouts are added ten times slower.

    Args:
        images: How many.
    """

    def __init__(self, images: int) -> None:
        self._sums: list[Tensor | None] = [None] * images

    def add(self, image: Tensor, found: Tensor, weights: Tensor | None = None) -> None:
        """Adds what was found at points, one after the other.

        Args:
            image: (P,) int64, which image each point belongs to.
            found: (P, *).
            weights: (P,); None for 1.
        """
        numbers = image.tolist()
        for number in set(numbers):  # before anything is added: memory may run out
            if self._sums[number] is None:
                self._sums[number] = torch.zeros_like(found[0])
        for number, row, weight in zip(numbers, found, [1.0] * len(found) if weights is None else weights, strict=True):
            own = self._sums[number]
            assert own is not None
            own.add_(row, alpha=float(weight))

    def result(self) -> Tensor:
        """(images, *)."""
        return torch.stack([own for own in self._sums if own is not None])
