"""Segmentation of images into features: the pixels that feature ablation replaces together."""

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra

Segments = Callable[[Tensor], Tensor]
"""Preprocessed images (N, C, H, W) -> numbers of features, int64 (1 or N, 1 or C, H, W)."""


def segments_of(
    description: str | Tensor, preprocessing: Preprocessing | None, *, n_segments: int, compactness: float
) -> Segments:
    """Build the segmentation that the option ``feature_mask`` describes.

    * ``grid``: about ``n_segments`` equal rectangles;
    * ``slic``: about ``n_segments`` superpixels of each image by SLIC (Achanta et al. 2012), rounder for larger
      ``compactness``;
    * a tensor of whole numbers, (H, W) or (1 or N, 1 or C, H, W): unchanged.

    Raises:
        ValueError: If the description is none of these, or superpixels lack the preprocessing that gives the colours.
        MissingExtra: If scikit-image is needed and not installed.
    """
    if isinstance(description, Tensor):
        if description.is_floating_point():
            raise ValueError(f"feature_mask: features have whole numbers, not {description.dtype}")
        return partial(_tensor, description)
    if not isinstance(n_segments, int) or n_segments < 1:
        raise ValueError(f"n_segments must be a whole number from 1, not {n_segments!r}")
    if not compactness > 0:
        raise ValueError(f"compactness must be above 0, not {compactness!r}")
    if description == "grid":
        return partial(_grid, n_segments)
    if description != "slic":
        raise ValueError(f"feature_mask must be grid or slic, not {description!r}")
    if preprocessing is None:
        raise ValueError("feature_mask: slic needs the model's colours: give View(model, preprocessing=...)")
    return _superpixels(preprocessing, n_segments, compactness)


def _tensor(mask: Tensor, images: Tensor) -> Tensor:
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape).to(images.device)
    fits = all(size in (1, other) for size, other in zip(mask.shape[:2], images.shape[:2], strict=True))
    if not fits or mask.shape[2:] != images.shape[2:]:
        raise ValueError(f"feature_mask: {tuple(mask.shape)} does not fit images of {tuple(images.shape)}")
    return mask.long()


def _grid(n_segments: int, images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    rows = max(1, round(sqrt(n_segments * height / width)))  # cells about as high as wide
    columns = max(1, round(n_segments / rows))
    down, across = (torch.arange(size, device=images.device) for size in (height, width))
    return ((down * rows // height)[:, None] * columns + across * columns // width)[None, None]


def _superpixels(preprocessing: Preprocessing, n_segments: int, compactness: float) -> Segments:
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise MissingExtra("demo", "feature_mask=slic (or choose feature_mask=grid)") from error
    mean, std = (np.array(values) for values in (preprocessing.mean, preprocessing.std))

    def segment(images: Tensor) -> Tensor:
        # colours in [0, 1], in float64 as scikit-image computes: the same superpixels for images of any dtype
        pictures = (images.double().permute(0, 2, 3, 1).numpy(force=True) * std + mean).clip(0, 1)  # (N, H, W, 3)
        superpixels = [slic(picture, n_segments, compactness, start_label=0) for picture in pictures]
        return torch.from_numpy(np.stack(superpixels)).long()[:, None].to(images.device)

    return segment
