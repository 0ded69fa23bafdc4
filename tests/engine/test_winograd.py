"""Winograd's algorithm: known answers in float64, rounding in float32, and the condition under which it is used."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.engine import winograd


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_tiles_from_a_table_of_rows(padding: int, bias: bool) -> None:
    torch.manual_seed(0)
    maps, weight, added = torch.randn(1, 3, 8, 6).double(), torch.randn(5, 3, 3, 3).double(), torch.randn(5).double()
    expected = F.conv2d(maps, weight, added if bias else None, padding=padding)
    padded = F.pad(maps, [padding] * 4)[0].permute(1, 2, 0)
    height, width = padded.shape[:2]
    rows = torch.arange(height * width).view(height, width)
    index = rows.unfold(0, 4, 2).unfold(1, 4, 2).permute(2, 3, 0, 1).reshape(16, -1)
    kernel = winograd.transform_kernel(weight)
    outputs = winograd.convolve(padded.reshape(-1, 3), index, kernel, added if bias else None)
    tiles = outputs.view(2, 2, height // 2 - 1, width // 2 - 1, 5).permute(4, 2, 0, 3, 1)
    torch.testing.assert_close(tiles.reshape(expected[0].shape), expected[0], rtol=1e-12, atol=1e-12)


def test_the_kernels_transform() -> None:
    """G g G^T by the paper's matrix, of one kernel whose entries are all different."""
    g = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    kernel = torch.arange(1.0, 10).double().view(3, 3)
    torch.testing.assert_close(winograd.transform_kernel(kernel[None, None]).view(4, 4), g @ kernel @ g.T)


def test_rounding_error_is_a_few_units_in_the_last_place() -> None:
    torch.manual_seed(0)
    weight, maps = torch.randn(256, 256, 3, 3), torch.randn(2, 256, 14, 14).relu()
    exact = F.conv2d(maps.double(), weight.double(), padding=1)
    rounded = winograd.convolve_maps(maps, winograd.transform_kernel(weight), None)
    direct = F.conv2d(maps, weight, padding=1)
    # 0.9 times the direct kernel's error on an AMD EPYC (AVX2), 2.6 times on an Intel Xeon (AVX-512)
    assert (rounded - exact).norm() < 4 * (direct - exact).norm()
    assert (rounded - exact).norm() < 8 * torch.finfo(torch.float32).eps * exact.norm()


@pytest.mark.parametrize(
    ("convolution", "expected"),
    [
        (nn.Conv2d(96, 96, 3), True),
        (nn.Conv2d(96, 96, 3, padding=2), True),
        (nn.Conv2d(95, 96, 3), False),
        (nn.Conv2d(96, 96, 3, stride=2), False),
        (nn.Conv2d(96, 96, 3, padding=1, padding_mode="circular"), False),
        (nn.Conv2d(96, 96, 3).double(), False),
        (nn.Conv2d(96, 96, 3).bfloat16(), False),
        (nn.Conv2d(96, 96, 3).half(), False),
        (nn.Conv2d(96, 96, 3, device="meta"), False),
    ],
)
def test_where_it_is_faster(convolution: nn.Conv2d, expected: bool) -> None:
    assert winograd.is_faster(convolution) == expected
