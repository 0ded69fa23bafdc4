"""Imputation of missing pixels: the authors' sparse system solved directly."""

import numpy as np
import pytest
import torch

from pipeline.metrics.imputation import impute
from tests.metrics.reference_imputation import solve_imputation
from tests.networks import images


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_imputation_solves_the_authors_system(dtype: torch.dtype) -> None:
    x = images(3, 32, 40, dtype)
    missing = torch.zeros(3, 1, 32, 40, dtype=torch.bool)
    missing[0, :, :30, 3:] = True  # one large hole at the border
    missing[1] = torch.rand(1, 32, 40, generator=torch.Generator().manual_seed(0)) < 0.9
    imputed = impute(x, missing)
    for image in range(3):
        expected = (
            solve_imputation(x[image].double().numpy(), missing[image, 0].numpy())
            if missing[image].any()
            else x[image].numpy()
        )
        assert np.abs(imputed[image].numpy() - expected).max() < 1e-4  # a hundredth of ROAD's noise
    assert torch.equal(imputed[2], x[2]) and torch.equal(imputed[~missing.expand_as(x)], x[~missing.expand_as(x)])
