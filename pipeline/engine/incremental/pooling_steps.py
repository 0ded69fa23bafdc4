"""Steps of pooling, from the arguments of torch's functions."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from pipeline.engine.incremental.boxes import LOWEST, ZERO, SlidingKernel
from pipeline.engine.incremental.sliding_steps import Slide

Sizes = tuple[tuple[int, int], tuple[int, int]]
"""(H, W) of an operation's input and of its output."""


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Return (vertical, horizontal) from one number for both or a tuple of one or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


@dataclass(frozen=True)
class MaxPooling:
    """Arguments of :func:`torch.nn.functional.max_pool2d` behind its input."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False
    return_indices: bool = False

    def step(self, sizes: Sizes) -> Slide | None:
        """Return the step, or None if it has two results."""
        if self.return_indices:
            return None
        kernel, dilation = pair(self.kernel_size), pair(self.dilation)
        stride = pair(self.stride or self.kernel_size)
        function = partial(F.max_pool2d, kernel_size=kernel, stride=stride, dilation=dilation)
        # ceil_mode only changes the size of the output, which is known; what lies beyond the map is -inf.
        return Slide(function, SlidingKernel(kernel, stride, pair(self.padding), dilation), sizes[1], LOWEST)


@dataclass(frozen=True)
class AveragePooling:
    """Arguments of :func:`torch.nn.functional.avg_pool2d` behind its input."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def step(self, sizes: Sizes) -> Slide:
        """Return the step: the mean over each window, times a factor where torch divides by another number.

        At the borders torch divides by the part of the window inside the map or its padding. The factors are found by
        pooling ones both ways.
        """
        kernel, before = pair(self.kernel_size), pair(self.padding)
        stride = pair(self.stride or self.kernel_size)
        function = partial(F.avg_pool2d, kernel_size=kernel, stride=stride)
        ones = torch.ones(1, 1, *sizes[0], dtype=torch.float64)
        expected = F.avg_pool2d(
            ones, kernel, stride, before, self.ceil_mode, self.count_include_pad, self.divisor_override
        )
        needed = [(size - 1) * step + extent for size, step, extent in zip(sizes[1], stride, kernel, strict=True)]
        after = [max(full - size - pad, 0) for full, size, pad in zip(needed, sizes[0], before, strict=True)]
        padded = F.pad(ones, (before[1], after[1], before[0], after[0]))
        plain = function(padded)[..., : sizes[1][0], : sizes[1][1]]
        factor = (expected / plain)[0, 0]
        sliding = SlidingKernel(kernel, stride, before)
        return Slide(function, sliding, sizes[1], ZERO, None if bool((factor == 1).all()) else factor)
