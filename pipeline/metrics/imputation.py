"""Linear imputation of removed pixels from their neighbours."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

NEIGHBOUR_WEIGHTS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))
"""Of the eight neighbours; at the border those inside the image are scaled to sum to 1."""
TOLERANCE = 1e-6
"""Residual at which the solver stops, as a share of the right-hand side (L2)."""
MAX_ITERATIONS = 2000


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Solve for missing pixels that are each the weighted mean of their neighbours, missing or not.

    Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (arXiv 2202.00449): noisy
    linear imputation, without its noise. The system is symmetric and positive definite; conjugate gradients (Hestenes
    and Stiefel 1952) solve it for all images together, each until it has converged.

    Args:
        images: (P, C, H, W).
        missing: bool (P, 1, H, W); not all pixels of an image.

    Returns:
        (P, C, H, W), equal to the images where no pixel is missing.
    """
    exact = images.to(torch.promote_types(images.dtype, torch.float32))
    kernel = exact.new_tensor(NEIGHBOUR_WEIGHTS)[None, None]
    weight = _neighbour_sums(torch.ones_like(exact[:1, :1]), kernel)
    level = (exact * ~missing).sum((2, 3), keepdim=True) / (~missing).sum((2, 3), keepdim=True)
    known = torch.where(missing, 0.0, exact - level)  # about 0, where the solver starts

    def system(values: Tensor) -> Tensor:
        return torch.where(missing, weight * values - _neighbour_sums(values, kernel), 0.0)

    right = torch.where(missing, _neighbour_sums(known, kernel), 0.0)
    return torch.where(missing, (_solve(system, right) + level).to(images.dtype), images)


def _neighbour_sums(values: Tensor, kernel: Tensor) -> Tensor:
    """Weighted sum over the neighbours of each pixel, (P, C, H, W)."""
    channels = values.flatten(0, 1)[:, None]
    return nn.functional.conv2d(channels, kernel, padding=1)[:, 0].reshape(values.shape)


def _solve(system: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Conjugate gradients: the values (P, C, H, W) that a symmetric positive definite system maps to ``right``."""
    values, residual = torch.zeros_like(right), right
    direction, square = residual, _products(residual, residual)
    enough = square * TOLERANCE**2
    for _ in range(MAX_ITERATIONS):
        active = square > enough
        if not active.any():
            break
        product = system(direction)
        step = torch.where(active, square / _products(direction, product), 0.0)
        values, residual = values + step * direction, residual - step * product
        before, square = square, torch.where(active, _products(residual, residual), square)
        direction = torch.where(active, residual + square / before * direction, direction)
    return values


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of each channel of each image, (P, C, 1, 1)."""
    return (one * other).sum((2, 3), keepdim=True)
