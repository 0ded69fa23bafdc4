"""Steps that read a neighbourhood of each position: convolutions and pooling."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline.engine import winograd
from pipeline.engine.incremental.boxes import ZERO, RowLayout, SlidingKernel, group_by_size, positions_in


@dataclass
class Linear:
    """Convolution of 1 x 1: one matrix product for the rows of all windows, gathered first if it has a stride."""

    weight: Tensor
    """(C, K)"""
    bias: Tensor | None
    sliding: SlidingKernel
    shape: tuple[int, int]
    """(H, W) of the outputs."""

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        if self.sliding.stride == (1, 1):
            return sources[0]
        return sources[0].with_boxes(self.sliding.affected(sources[0].boxes, self.shape), self.shape)

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [self.sliding.stride != (1, 1)]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> Tensor | None:
        if self.sliding.stride == (1, 1):
            return None
        box, y, x = positions_in(target.boxes[target.order])
        vertical, horizontal = self.sliding.stride
        return sources[0].locate(target.order[box], y * vertical, x * horizontal, ZERO)

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: Tensor | None, out: Tensor) -> None:
        values = rows[0] if plan is None else torch.index_select(tables[0], 0, plan)
        if self.bias is None:
            torch.mm(values, self.weight, out=out)
        else:
            torch.addmm(self.bias, values, self.weight, out=out)


@dataclass
class Winograd:
    """Convolution of 3 x 3 without stride between many channels, in tiles of 2 x 2 outputs."""

    kernel: Tensor
    """(16, C, K) of :func:`pipeline.engine.winograd.transform_kernel`"""
    bias: Tensor | None
    sliding: SlidingKernel
    shape: tuple[int, int]
    """(H, W) of the outputs."""

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0].with_boxes(self.sliding.affected(sources[0].boxes, self.shape), self.shape)

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [True]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> tuple[Tensor, Tensor]:
        """Return the rows of the 16 inputs of each tile, (16, T), and where each changed row is among the outputs."""
        boxes = target.boxes[target.order]
        tiles = torch.zeros_like(boxes)  # boxes whose positions are the tiles of each box
        tiles[:, 2:] = (boxes[:, 2:] - boxes[:, :2] + 1) // 2
        box, down, across = positions_in(tiles)
        tap = torch.arange(4)
        y = boxes[box, 0] + 2 * down - self.sliding.padding[0] + tap[:, None, None]  # (4, 1, T)
        x = boxes[box, 1] + 2 * across - self.sliding.padding[1] + tap[:, None]  # (4, T)
        inputs = sources[0].locate(target.order[box], y, x, ZERO).view(16, -1)

        # The outputs are (4, T): output (y, x) of a box is number 2 (y % 2) + x % 2 of tile (y // 2, x // 2). In a box
        # of odd size, the last tiles have outputs that nothing reads.
        count = tiles[:, 2] * tiles[:, 3]
        box, y, x = positions_in(boxes)
        y, x = y - boxes[box, 0], x - boxes[box, 1]
        tile = (count.cumsum(0) - count)[box] + (y // 2) * tiles[box, 3] + x // 2
        return inputs, ((y % 2 * 2 + x % 2) * inputs.shape[1] + tile).int()

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: tuple[Tensor, Tensor], out: Tensor) -> None:
        inputs, outputs = plan
        tiles = winograd.convolve(tables[0], inputs, self.kernel, self.bias)
        torch.index_select(tiles.view(-1, out.shape[1]), 0, outputs, out=out)


@dataclass
class Slide:
    """Any convolution or pooling: boxes of one size together, each with its receptive field, without padding.

    Attributes:
        function: Receptive fields (B, C, h, w) -> outputs (B, K, h', w').
        sliding: Its kernel.
        shape: (H, W) of the outputs.
        fill: Row that stands for the padding, `ZERO` or `LOWEST`.
        factor: (H, W) by which each output is multiplied, or None.
    """

    function: partial[Tensor]
    sliding: SlidingKernel
    shape: tuple[int, int]
    fill: int = ZERO
    factor: Tensor | None = None

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        boxes = self.sliding.affected(sources[0].boxes, self.shape)
        return sources[0].with_boxes(boxes, self.shape, group_by_size(boxes)[0])

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [True]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> tuple[Tensor, list[tuple[int, ...]], Tensor | None]:
        """Return rows of all receptive fields, (count, h, w, outputs) of each group of boxes, and factors (R, 1)."""
        boxes = target.boxes[target.order]
        box, y, x = positions_in(self.sliding.receptive_field(boxes))
        index = sources[0].locate(target.order[box], y, x, self.fill)
        groups: list[tuple[int, ...]] = []
        for count, height, width in group_by_size(boxes)[1]:
            groups.append((count, *self.sliding.receptive_size(height, width), height * width))
        if self.factor is None:
            return index, groups, None
        _, y, x = positions_in(boxes)
        return index, groups, self.factor[y, x].unsqueeze(1)

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: Any, out: Tensor) -> None:
        index, groups, factor = plan
        fields = torch.index_select(tables[0], 0, index)
        field_start = out_start = 0
        for count, height, width, outputs in groups:
            field_end, out_end = field_start + count * height * width, out_start + count * outputs
            images = fields[field_start:field_end].view(count, height, width, -1).permute(0, 3, 1, 2)
            values = self.function(images).permute(0, 2, 3, 1).reshape(count * outputs, -1)
            out[out_start:out_end] = values
            field_start, out_start = field_end, out_end
        if factor is not None:
            out.mul_(factor)
