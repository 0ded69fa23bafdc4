"""Structural similarity (SSIM) of two maps."""

import torch
from torch import Tensor, nn

SIDE, DEVIATION = 11, 1.5
"""Side and standard deviation of the Gaussian window, in pixels."""
C1, C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 of the paper, for the range L = 1


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of maps (..., H, W) with values in [0, 1], mean over places: (...), float64.

    Wang et al. 2004, doi 10.1109/TIP.2003.819861, equation 13, with its Gaussian window of 11 x 11, sigma 1.5, wholly
    inside the map.

    Raises:
        ValueError: If the maps are smaller than the window.
    """
    if min(first.shape[-2:]) < SIDE:
        raise ValueError(f"maps of {tuple(first.shape[-2:])} pixels are smaller than the window of SSIM, {SIDE}")
    one, other = first.double(), second.double()
    moments = torch.stack(torch.broadcast_tensors(one, other, one * one, other * other, one * other))
    mean, mean_other, square, square_other, product = _windows(moments)
    variance, variance_other = square - mean**2, square_other - mean_other**2
    covariance = product - mean * mean_other
    numerator = (2 * mean * mean_other + C1) * (2 * covariance + C2)
    similarity: Tensor = numerator / ((mean**2 + mean_other**2 + C1) * (variance + variance_other + C2))
    return similarity.mean((-2, -1))


def _windows(values: Tensor) -> Tensor:
    """Weighted means over the windows inside, (..., H, W) -> (..., H - 10, W - 10)."""
    offsets = torch.arange(SIDE, dtype=values.dtype, device=values.device) - SIDE // 2
    kernel = torch.exp(-0.5 * (offsets / DEVIATION) ** 2)
    kernel = kernel / kernel.sum()  # separable: along rows, then along columns
    flat = values.reshape(-1, 1, *values.shape[-2:])
    flat = nn.functional.conv2d(nn.functional.conv2d(flat, kernel[None, None, :, None]), kernel[None, None, None])
    return flat.reshape(*values.shape[:-2], *flat.shape[-2:])
