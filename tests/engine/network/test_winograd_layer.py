"""Winograd's convolution has the values and gradients of the direct one, and replaces it only where it is faster."""

import pytest
import torch
from torch import nn

from pipeline.engine.network.prepared import FastNetwork
from pipeline.engine.network.winograd_layer import WinogradConvolution, is_replaceable, use_winograd
from tests import networks


@pytest.mark.parametrize(
    "shape",
    [(1, 2, 4, 4), (3, 5, 7, 9), (2, 3, 1, 6), (5, 4, 33, 2), (70, 3, 6, 6), (2, 2, 40, 41)],
    ids=["two tiles a side", "odd", "one row", "narrow", "more than a block of images", "more than a block of rows"],
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients(shape: tuple[int, ...], bias: bool, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    direct = nn.Conv2d(shape[1], 6, 3, padding=1, bias=bias).double()
    nn.init.normal_(direct.weight)
    maps = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    expected, found = direct(maps), WinogradConvolution(direct)(maps)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((values * weights).sum(), maps)[0] for values in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_few_tiles_use_the_direct_convolution() -> None:
    few, enough = torch.randn(1, 96, 6, 6), torch.randn(2, 96, 6, 6)
    direct = nn.Conv2d(96, 96, 3, padding=1)
    replaced = WinogradConvolution(direct)
    assert torch.equal(replaced(few), direct(few))
    assert not torch.equal(replaced(enough), direct(enough))
    torch.testing.assert_close(replaced(enough), direct(enough), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("convolution", "expected"),
    [
        (nn.Conv2d(96, 96, 3, padding=1), True),
        (nn.Conv2d(96, 96, 3, padding="same"), True),
        (nn.Conv2d(95, 96, 3, padding=1), False),
        (nn.Conv2d(96, 95, 3, padding=1), False),
        (nn.Conv2d(96, 96, 3), False),
        (nn.Conv2d(96, 96, 3, padding=1, stride=2), False),
        (nn.Conv2d(96, 96, 3, padding=2, dilation=2), False),
        (nn.Conv2d(192, 192, 3, padding=1, groups=2), False),
        (nn.Conv2d(96, 96, 3, padding=1, padding_mode="reflect"), False),
        (nn.Conv2d(96, 96, (3, 1), padding=1), False),
        (nn.Conv2d(96, 96, 3, padding=1).double(), False),
        (nn.Conv2d(96, 96, 3, padding=1).bfloat16(), False),
    ],
)
def test_which_convolutions_are_replaced(convolution: nn.Conv2d, expected: bool) -> None:
    assert is_replaceable(convolution) == expected


def test_a_network_uses_it_and_the_model_is_unchanged() -> None:
    model, images = networks.resnet18().float(), networks.images(4, 96, 80, torch.float32)
    fast = FastNetwork(model)
    prepared = fast.prepared(images)
    replaced = [name for name, module in prepared.named_modules() if isinstance(module, WinogradConvolution)]
    assert len(replaced) == 9  # 128 channels and more, but not the three with a stride
    assert not any(isinstance(module, WinogradConvolution) for module in model.modules())
    exact = networks.resnet18().double()(images.double())
    scale = exact.abs().max()
    assert (fast(images) - exact).abs().max() < 1e-5 * scale
    assert (model(images) - exact).abs().max() < 1e-5 * scale


def test_a_compiler_sees_plain_convolutions() -> None:
    fast = FastNetwork(networks.resnet18().float(), compile="aot_eager")
    prepared = fast.prepared(networks.images(2, 64, 64, torch.float32))
    assert not any(isinstance(module, WinogradConvolution) for module in prepared.modules())


def test_nothing_to_replace_nothing_changed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    before = list(network.modules())
    use_winograd(network)
    assert list(network.modules()) == before
