"""Missing pixels from those around them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

WEIGHTS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))
"""Of the eight neighbours; at the border those that are there share the whole."""
TOLERANCE = 1e-6
"""Of what is left over, of the right-hand side (L2), at which the solver stops."""
MOST_ITERATIONS = 2000


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Each missing pixel becomes the weighted mean of its neighbours, missing or not: all at once.

    Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (arXiv 2202.00449): noisy
    linear imputation, without its noise. The system is symmetric and positive definite; conjugate gradients (Hestenes
    and Stiefel 1952) solve it for all images together, each until it is done.

    Args:
        images: (P, C, H, W).
        missing: bool (P, 1, H, W); not all pixels of an image.

    Returns:
        (P, C, H, W), which are the images where nothing is missing.
    """
    exact = images.to(torch.promote_types(images.dtype, torch.float32))
    kernel = exact.new_tensor(WEIGHTS)[None, None]
    weight = _around(torch.ones_like(exact[:1, :1]), kernel)
    level = (exact * ~missing).sum((2, 3), keepdim=True) / (~missing).sum((2, 3), keepdim=True)
    known = torch.where(missing, 0.0, exact - level)

    def system(values: Tensor) -> Tensor:
        return torch.where(missing, weight * values - _around(values, kernel), 0.0)

    left = torch.where(missing, _around(known, kernel), 0.0)
    return torch.where(missing, (_solved(system, left) + level).to(images.dtype), images)


def _around(values: Tensor, kernel: Tensor) -> Tensor:
    """Weighted sum over the neighbours of each pixel, (P, C, H, W)."""
    channels = values.flatten(0, 1)[:, None]
    return nn.functional.conv2d(channels, kernel, padding=1)[:, 0].reshape(values.shape)


def _solved(system: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """The values (P, C, H, W) that a symmetric positive definite system turns into ``right``."""
    values, left = torch.zeros_like(right), right
    direction, size = left, _products(left, left)
    enough = size * TOLERANCE**2
    for _ in range(MOST_ITERATIONS):
        going = size > enough
        if not going.any():
            break
        turned = system(direction)
        step = torch.where(going, size / _products(direction, turned), 0.0)
        values, left = values + step * direction, left - step * turned
        before, size = size, torch.where(going, _products(left, left), size)
        direction = torch.where(going, left + size / before * direction, direction)
    return values


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Of each channel of each image, (P, C, 1, 1)."""
    return (one * other).sum((2, 3), keepdim=True)
