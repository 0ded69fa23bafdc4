"""Convolution layers of a prepared network by Winograd's algorithm, forward and backward."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.engine import winograd

FEWEST_TILES = 16
"""With fewer, most of the time goes into reading the kernel: the direct one is smaller (measured with 512 channels)."""


class WinogradConvolution(nn.Module):
    """A convolution of 3 x 3, stride 1 and padding 1; no gradient with respect to its parameters is computed.

    Args:
        direct: The convolution that it replaces; used where tiles are few.
    """

    kernel: Tensor

    def __init__(self, direct: nn.Conv2d) -> None:
        super().__init__()
        self.direct = direct
        self.register_buffer("kernel", winograd.transform_kernel(direct.weight))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H, W)."""
        if len(maps) * -(-maps.shape[2] // 2) * -(-maps.shape[3] // 2) < FEWEST_TILES:
            direct: Tensor = self.direct(maps)
            return direct
        convolved: Tensor = _Convolve.apply(maps, self.kernel, self.direct.bias)
        return convolved


class _Convolve(torch.autograd.Function):
    """The convolution, with a backward pass by the same algorithm."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(kernel)
        return winograd.convolve_maps(maps, kernel, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (kernel,) = ctx.saved_tensors
        return winograd.input_gradients(gradients[0], kernel), None, None


def use_winograd(network: nn.Module) -> None:
    """Replace the convolutions of a network for which Winograd's algorithm is faster, in place."""
    for name, module in list(network.named_modules()):
        # A subclass, as torch.nn.utils.parametrize makes one, may compute its weight or do more than convolve.
        if type(module) is nn.Conv2d and is_replaceable(module):
            network.set_submodule(name, WinogradConvolution(module))


def is_replaceable(convolution: nn.Conv2d) -> bool:
    """Return whether :class:`WinogradConvolution` computes the same as a convolution, faster."""
    return convolution.padding in ((1, 1), "same") and winograd.is_faster(convolution)
