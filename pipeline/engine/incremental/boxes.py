"""Boxes: the part of each activation that a window of the image can change, and the rows that store its values.

An activation of shape (C, H, W) is stored as a table of rows, one row of C values for each position. The table holds
the H * W rows of the clean activation of each image, each followed by two rows for padding, and then the changed rows,
box after box. The first image's padding rows serve all: zeros for convolutions, -inf for max pooling. Reading any
neighbourhood of a changed position is then one gather of rows.

Boxes are int64 tensors (B, 4): top, left, bottom, right, the last two past the end.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

ZERO, LOWEST, FILLS = 0, 1, 2
"""The row of zeros and the row of -inf, counted from the end of an image's clean rows, and the number of such rows."""


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

    def affected(self, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return the boxes (B, 4) of the outputs whose receptive field meets the boxes (B, 4) of the input.

        Output o reads the inputs o * stride - padding ... o * stride - padding + dilation * (kernel - 1).

        Args:
            boxes: In the input, as in the outputs that are returned.
            shape: (H, W) of the outputs. A box that no output reads gets one position, so that no box is ever empty.
        """
        sides = []
        for axis in (0, 1):
            stride, padding, limit = self.stride[axis], self.padding[axis], shape[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            first = -((extent - padding - boxes[:, axis]) // stride)  # smallest o that reads the first position or more
            last = (boxes[:, axis + 2] - 1 + padding) // stride
            first = first.clamp(0, limit - 1)
            sides.append((first, torch.maximum(last.clamp(max=limit - 1), first) + 1))
        return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)

    def receptive_field(self, boxes: Tensor) -> Tensor:
        """Return the boxes (B, 4) of the input that the outputs in ``boxes`` read; they may reach into the padding."""
        sides = []
        for axis in (0, 1):
            stride, padding = self.stride[axis], self.padding[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            sides.append((boxes[:, axis] * stride - padding, (boxes[:, axis + 2] - 1) * stride - padding + extent + 1))
        return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)

    def receptive_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the input that ``height`` x ``width`` outputs read."""
        top, left, bottom, right = self.receptive_field(torch.tensor([[0, 0, height, width]]))[0].tolist()
        return bottom - top, right - left


def bounding_boxes(boxes: list[Tensor]) -> Tensor:
    """Return the smallest boxes (B, 4) around the corresponding ones of several tensors (B, 4)."""
    stacked = torch.stack(boxes)
    return torch.cat([stacked[..., :2].amin(0), stacked[..., 2:].amax(0)], dim=1)


def box_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return heights (B,) and widths (B,) of boxes (B, 4)."""
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def positions_in(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return box number, row and column (R,) of every position in boxes (B, 4), box after box, row by row."""
    heights, widths = box_sizes(boxes)
    areas = heights * widths
    box = torch.repeat_interleave(areas)
    offset = torch.arange(len(box)) - (areas.cumsum(0) - areas)[box]  # within its box
    width = widths[box]
    down = offset.div(width, rounding_mode="floor")
    return box, boxes[box, 0] + down, boxes[box, 1] + offset - down * width


def group_by_size(boxes: Tensor) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Return an order (B,) that brings boxes (B, 4) of one size together, and (count, height, width) of each group."""
    heights, widths = box_sizes(boxes)
    key = heights * (int(widths.max()) + 1) + widths  # one number for each size
    order = torch.argsort(key, stable=True)
    counts = torch.unique_consecutive(key[order], return_counts=True)[1]
    firsts = order[counts.cumsum(0) - counts]
    groups = zip(counts.tolist(), heights[firsts].tolist(), widths[firsts].tolist(), strict=True)
    return order, list(groups)


@dataclass(frozen=True)
class RowLayout:
    """Positions of the changed rows in the table of one activation, for a chunk of windows.

    Attributes:
        boxes: (B, 4) box of each window in the activation.
        shape: (H, W) of the activation.
        order: (B,) order in which the boxes' rows follow one another.
        image: (B,) int64, the number of each window's image in the chunk.
        images: Images in the chunk.
    """

    boxes: Tensor
    shape: tuple[int, int]
    order: Tensor
    image: Tensor
    images: int
    rows: int = field(init=False)
    """Changed rows of all boxes."""
    origin: Tensor = field(init=False)
    """(B,) row of the table that position (0, 0) of the map would have if the window's box went that far."""

    def __post_init__(self) -> None:
        heights, widths = box_sizes(self.boxes)
        areas = (heights * widths)[self.order]
        start = torch.empty_like(areas)
        start[self.order] = areas.cumsum(0) - areas
        # object.__setattr__, since the dataclass is frozen
        object.__setattr__(self, "rows", int(areas.sum()))
        object.__setattr__(self, "origin", self.clean_rows + start - self.boxes[:, 0] * widths - self.boxes[:, 1])

    @property
    def clean_rows(self) -> int:
        """Rows of the table before the changed ones."""
        return self.images * self.rows_per_image

    @property
    def rows_per_image(self) -> int:
        """Clean rows of one image, with those of the padding."""
        return self.shape[0] * self.shape[1] + FILLS

    def with_boxes(self, boxes: Tensor, shape: tuple[int, int], order: Tensor | None = None) -> "RowLayout":
        """Return the layout of the same windows with other boxes, in an activation of another shape."""
        return replace(self, boxes=boxes, shape=shape, order=self.order if order is None else order)

    def has_rows_of(self, other: "RowLayout") -> bool:
        """Return whether both have the same rows in the same places."""
        return self is other or (torch.equal(self.boxes, other.boxes) and torch.equal(self.order, other.order))

    def locate(self, window: Tensor, y: Tensor, x: Tensor, fill: int) -> Tensor:
        """Return the rows of the table, int32, with the values of positions (y, x) as each window has changed them.

        A position in its window's box has a changed row, another one of the map a clean row of the window's image, and
        one outside the map the row ``fill`` (`ZERO` or `LOWEST`).

        Args:
            window: Numbers of windows; the three shapes broadcast.
            y: Rows of positions.
            x: Columns of positions.
            fill: For positions outside the map.
        """
        height, width = self.shape
        top, left, bottom, right = (side[window] for side in self.boxes.int().t().contiguous())
        window_origin = self.origin.int()[window]
        y, x = y.int(), x.int()
        in_box = ((y >= top) & (y < bottom)) & ((x >= left) & (x < right))
        changed = window_origin + (right - left) * y + x
        rows = torch.where(in_box, changed, y * width + x + self.rows_per_image * self.image.int()[window])
        outside = ((y < 0) | (y >= height)) | ((x < 0) | (x >= width))
        return rows.masked_fill_(outside, height * width + fill)  # the first image's
