"""Structural similarity: scikit-image on the same maps."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from pipeline.metrics.ssim import ssim


def test_ssim_is_that_of_scikit_image() -> None:
    first, second = torch.rand(2, 3, 40, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    second = (first + second) / 2
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [structural_similarity(a.numpy(), b.numpy(), **options) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ssim(first, second).numpy(), expected, atol=1e-12)
    with pytest.raises(ValueError, match="smaller than the window"):
        ssim(first[..., :9], second[..., :9])
