"""Windows of occlusion: a grid of boxes that slide over the input, and the expansion of their values to pixels."""

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels, height and width."""


@dataclass(frozen=True)
class Windows:
    """Geometry of a map with a value for each occluded window, on the grid of windows that slides over the input.

    Along an axis of D values, windows of size w at stride s start at 0, s, 2s, ... until the end is
    covered: ceil((D - w) / s) + 1 of them, the last one cropped (as Captum's ``Occlusion`` does).

    Attributes:
        shape: (C, H, W) of the model's input.
        window: (channels, height, width) of a window.
        strides: Steps between windows along the same axes.
        channels: ``sum`` or ``keep``, applied when the map is expanded.
    """

    shape: Shape
    window: Shape
    strides: Shape
    channels: str = "keep"

    def __post_init__(self) -> None:
        for axis, size, window, stride in zip("CHW", self.shape, self.window, self.strides, strict=True):
            if not 1 <= window <= size:
                raise ValueError(
                    f"sliding_window_shapes: {window} along {axis} does not fit the input, which has {size}"
                )
            if stride < 1 or (stride > window and window < size):
                raise ValueError(f"strides: {stride} along {axis} must be from 1 to the window's size, {window}")

    @property
    def native_shape(self) -> Shape:
        channels, height, width = (
            ceil((size - window) / stride) + 1
            for size, window, stride in zip(self.shape, self.window, self.strides, strict=True)
        )
        return channels, height, width

    def boxes(self) -> Tensor:
        """Return first and past-the-end index of each window along each axis, int64 (windows, 3, 2), in grid order."""
        starts = torch.cartesian_prod(
            *(torch.arange(n) * stride for n, stride in zip(self.native_shape, self.strides, strict=True))
        )
        ends = torch.minimum(starts + torch.tensor(self.window), torch.tensor(self.shape))
        return torch.stack((starts, ends), dim=2)

    def reduce(self, maps: Tensor) -> Tensor:
        return maps

    def expand(self, native: Tensor) -> Tensor:
        """Expand stored maps to pixels: each has the mean over the windows that cover it."""
        native = native.float() if native.dtype == torch.float16 else native
        for axis, (size, window, stride) in enumerate(zip(self.shape, self.window, self.strides, strict=True), 1):
            covers = _cover(size, window, stride).to(native)
            means = covers / covers.sum(0)  # the mean over boxes is the product of those along each axis
            native = torch.tensordot(native, means, dims=([axis], [0])).movedim(-1, axis)
        return native.sum(1, keepdim=True) if self.channels == "sum" else native

    def to_json(self) -> dict[str, Any]:
        return {"kind": "windows", **asdict(self)}


def _cover(size: int, window: int, stride: int) -> Tensor:
    """Return a matrix with 1 where a window (row) covers a position (column) of one axis, else 0."""
    starts = torch.arange(ceil((size - window) / stride) + 1)[:, None] * stride
    positions = torch.arange(size)[None]
    return ((positions >= starts) & (positions < starts + window)).double()
