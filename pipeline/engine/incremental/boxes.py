"""Boxes: which part of each activation a window of the image can change, and where its rows are kept.

An activation of shape (C, H, W) is kept as a table of rows, one row of C values a position. The table holds, for each
image, the H * W rows of the clean activation, one row of zeros, one of -inf, and then the changed rows, box after box.
Every read of a neighbourhood is then one gather of rows.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

ZERO, LOWEST, FILLS = 0, 1, 2
"""Row of zeros and row of -inf, counted from the end of the clean rows, and how many such rows there are."""


@dataclass(frozen=True)
class SlidingKernel:
    """A kernel that slides over a map, each entry (vertical, horizontal): size, stride, padding before, dilation."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def is_pointwise(self) -> bool:
        return self.kernel == (1, 1) and self.padding == (0, 0)

    def reach(self, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
        """Boxes (B, 4) of the outputs, in a map of ``shape``, that read any position of the boxes (B, 4).

        A box that no output reads gets one position, so that no box is ever empty.
        """
        sides = []
        for axis in (0, 1):
            stride, padding, limit = self.stride[axis], self.padding[axis], shape[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            first = -((extent - padding - boxes[:, axis]) // stride)
            last = (boxes[:, axis + 2] - 1 + padding) // stride
            first = first.clamp(0, limit - 1)
            sides.append((first, torch.maximum(last.clamp(max=limit - 1), first) + 1))
        return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)

    def context(self, boxes: Tensor) -> Tensor:
        """Boxes (B, 4) of the input that the outputs in ``boxes`` read; they may leave the map."""
        sides = []
        for axis in (0, 1):
            stride, padding = self.stride[axis], self.padding[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            sides.append((boxes[:, axis] * stride - padding, (boxes[:, axis + 2] - 1) * stride - padding + extent + 1))
        return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)

    def extent(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the input that ``height`` x ``width`` outputs read."""
        top, left, bottom, right = self.context(torch.tensor([[0, 0, height, width]]))[0].tolist()
        return bottom - top, right - left


def bounding(boxes: list[Tensor]) -> Tensor:
    """Smallest boxes (B, 4) around each of several boxes (B, 4)."""
    stacked = torch.stack(boxes)
    return torch.cat([stacked[..., :2].amin(0), stacked[..., 2:].amax(0)], dim=1)


def sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Heights (B,) and widths (B,) of boxes (B, 4)."""
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def positions(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number of the box, row and column (R,) of every position in boxes (B, 4), box after box, row by row."""
    heights, widths = sizes(boxes)
    areas = heights * widths
    box = torch.repeat_interleave(areas)
    offset = torch.arange(len(box)) - (areas.cumsum(0) - areas)[box]
    width = widths[box]
    down = offset.div(width, rounding_mode="floor")
    return box, boxes[box, 0] + down, boxes[box, 1] + offset - down * width


def by_size(boxes: Tensor) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Order (B,) that brings boxes (B, 4) of one size together, and (count, height, width) of each such group."""
    heights, widths = sizes(boxes)
    key = heights * (int(widths.max()) + 1) + widths
    order = torch.argsort(key, stable=True)
    counts = torch.unique_consecutive(key[order], return_counts=True)[1]
    firsts = order[counts.cumsum(0) - counts]
    groups = zip(counts.tolist(), heights[firsts].tolist(), widths[firsts].tolist(), strict=True)
    return order, list(groups)


@dataclass(frozen=True)
class RowLayout:
    """Where the changed rows of one activation stand for a chunk of windows.

    Attributes:
        boxes: (B, 4) box of each window in the activation.
        shape: Height and width of the activation.
        order: (B,) order in which the boxes' rows follow one another.
        image: (B,) int64, which of the chunk's images each window is of.
        images: How many these are.
    """

    boxes: Tensor
    shape: tuple[int, int]
    order: Tensor
    image: Tensor
    images: int
    rows: int = field(init=False)
    origin: Tensor = field(init=False)
    """(B,) row of the table that position (0, 0) of the map would have if the window's box went that far."""

    def __post_init__(self) -> None:
        heights, widths = sizes(self.boxes)
        areas = (heights * widths)[self.order]
        start = torch.empty_like(areas)
        start[self.order] = areas.cumsum(0) - areas
        object.__setattr__(self, "rows", int(areas.sum()))
        object.__setattr__(self, "origin", self.base + start - self.boxes[:, 0] * widths - self.boxes[:, 1])

    @property
    def base(self) -> int:
        """Row of the table at which the changed rows begin."""
        return self.images * self.clean

    @property
    def clean(self) -> int:
        """Rows of the table that one image has before the changed ones."""
        return self.shape[0] * self.shape[1] + FILLS

    def moved(self, boxes: Tensor, shape: tuple[int, int], order: Tensor | None = None) -> "RowLayout":
        """The same windows with other boxes, in an activation of another shape."""
        return replace(self, boxes=boxes, shape=shape, order=self.order if order is None else order)

    def same(self, other: "RowLayout") -> bool:
        """Whether both have the same rows in the same places."""
        return self is other or (torch.equal(self.boxes, other.boxes) and torch.equal(self.order, other.order))

    def locate(self, window: Tensor, y: Tensor, x: Tensor, fill: int) -> Tensor:
        """Rows of the table, int32, that hold positions (y, x) as each window has changed them; off the map the fill's.

        ``window``, ``y`` and ``x`` have shapes that broadcast.
        """
        height, width = self.shape
        top, left, bottom, right = (side[window] for side in self.boxes.int().t().contiguous())
        window_origin = self.origin.int()[window]
        y, x = y.int(), x.int()
        inside = ((y >= top) & (y < bottom)) & ((x >= left) & (x < right))
        changed = window_origin + (right - left) * y + x
        rows = torch.where(inside, changed, y * width + x + self.clean * self.image.int()[window])
        outside = ((y < 0) | (y >= height)) | ((x < 0) | (x >= width))
        return rows.masked_fill_(outside, height * width + fill)
