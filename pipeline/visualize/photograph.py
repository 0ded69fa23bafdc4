"""Photograph of a network's input: normalisation undone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

_ROUNDING = 1e-3  # of float16, and of a mean that is subtracted and added again; in units of [0, 1]


def photograph(
    values: ArrayLike, *, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Image.Image:
    """Convert a network's input back to an image.

    Args:
        values: (3, H, W) or (1, H, W): uint8, or numbers in [0, 1], or, with mean and std, normalised ones.
        mean: Of each channel, which was subtracted.
        std: Of each channel, by which the difference was divided.

    Raises:
        ValueError: For another shape, or values outside [0, 1]: they are normalised, and mean and std are missing.
    """
    pixels = np.asarray(values)
    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise ValueError(f"an image has the shape (3, H, W) or (1, H, W), not {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = pixels * _column(1 if std is None else std) + _column(0 if mean is None else mean)
        low, high = pixels.min(), pixels.max()
        if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
            raise ValueError(f"pixels from {low:.3g} to {high:.3g}, expected [0, 1]: give the input's mean and std")
        pixels = (pixels * 255).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0).copy())


def _column(numbers: float | Sequence[float]) -> np.ndarray:
    return np.asarray(numbers, np.float64).reshape(-1, 1, 1)
