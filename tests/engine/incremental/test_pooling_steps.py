"""Average pooling has torch's divisors at the borders."""

import pytest
import torch
from torch.nn import functional as F

from pipeline.engine.incremental.boxes import ZERO
from pipeline.engine.incremental.pooling_steps import AveragePooling, MaxPooling, pair


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("divisor", [None, 5])
def test_factors(ceil_mode: bool, count_include_pad: bool, divisor: int | None) -> None:
    maps = torch.rand(1, 2, 8, 7, dtype=torch.float64)
    arguments = (3, 2, 1, ceil_mode, count_include_pad, divisor)
    expected = F.avg_pool2d(maps, *arguments)
    height, width = expected.shape[2:]
    step = AveragePooling(*arguments).step(((8, 7), (height, width)))
    assert step.fill == ZERO
    extent = step.sliding.receptive_size(height, width)  # of all outputs, with the padding
    padded = F.pad(maps, (1, extent[1] - 8, 1, extent[0] - 9))
    pooled = step.function(padded)
    torch.testing.assert_close(pooled if step.factor is None else pooled * step.factor, expected)


def test_no_factor_where_every_window_is_full() -> None:
    assert AveragePooling(2).step(((8, 6), (4, 3))).factor is None


def test_max_pooling_with_indices_has_no_step() -> None:
    assert MaxPooling(2, return_indices=True).step(((8, 6), (4, 3))) is None
    step = MaxPooling((2, 3)).step(((8, 6), (4, 2)))
    assert step is not None and step.sliding.stride == (2, 3)


def test_pair() -> None:
    assert pair(3) == (3, 3) and pair((3,)) == (3, 3) and pair((3, 4)) == (3, 4)
