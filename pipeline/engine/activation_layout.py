"""Layout of a layer's activation: the axes of its channels and positions, in feature maps and in tokens."""

from collections.abc import Callable
from math import inf, log

from torch import Tensor

MOST_PREFIX_TOKENS = 16
"""Class, distillation and register tokens before those of patches; published networks have at most 9."""


def channels_first(shape: tuple[int, ...], image: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """Return a function that brings a layer's activation into the form (N, K, h, w).

    * (N, K, h, w) stays, (N, h, w, K) of a Swin transformer is turned: the form whose grid is more like the image.
    * (N, tokens, K) of a vision transformer: the last h * w tokens are the patches, which are H / h = W / w pixels wide
      and high; the tokens before them (class, distillation, registers) have no position and are left out.

    Args:
        shape: Of the layer's activation, images along the first axis.
        image: (H, W) of the network's input.

    Raises:
        ValueError: If such an activation has no positions in the image.
    """
    if len(shape) == 4:
        first, last = _distortion(shape[2:], image), _distortion(shape[1:3], image)
        return (lambda values: values) if first <= last else (lambda values: values.permute(0, 3, 1, 2))
    if len(shape) != 3:
        raise ValueError(f"layer: its values {shape} have no positions in the image; choose one with (N, K, h, w)")
    grid = _patches(shape[1], image)
    return lambda values: values[:, -grid[0] * grid[1] :].unflatten(1, grid).permute(0, 3, 1, 2)


def _distortion(grid: tuple[int, ...], image: tuple[int, int]) -> float:
    """Difference of the aspect ratios of a grid and the image: |log ratio|."""
    return abs(log(grid[0] * image[1] / (grid[1] * image[0]))) if min(grid) else inf


def _patches(tokens: int, image: tuple[int, int]) -> tuple[int, int]:
    """Return (h, w) of the grid of square patches, with the fewest tokens before it."""
    height, width = image
    for prefix in range(MOST_PREFIX_TOKENS + 1):
        for side in range(1, min(image) + 1):
            whole = height % side == 0 and width % side == 0
            if whole and (height // side) * (width // side) == tokens - prefix:
                return height // side, width // side
    raise ValueError(f"layer: {tokens} tokens are no grid of square patches of {height} x {width} pixels")
