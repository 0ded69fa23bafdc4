"""Steps: how the changed boxes of one activation follow from those of the activations that it is computed from.

Every step has ``place`` (where its boxes are), ``reads`` (of which sources it needs the whole table),
``plan`` (row numbers, the same for every image) and ``run`` (the values of the changed rows).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.engine import winograd
from pipeline.engine.incremental.boxes import ZERO, RowLayout, SlidingKernel, bounding, by_size, positions

Bounds = tuple[float | None, float | None]


class Step(Protocol):
    """What every class below offers."""

    def place(self, sources: list[RowLayout]) -> RowLayout: ...

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]: ...

    def plan(self, sources: list[RowLayout], target: RowLayout) -> Any: ...

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: Any, out: Tensor) -> None: ...


def clamp(values: Tensor, bounds: Bounds | None, out: Tensor) -> None:
    """Write ``values`` within ``bounds`` to ``out``, which may be the same."""
    if bounds is not None:
        torch.clamp(values, bounds[0], bounds[1], out=out)
    elif values is not out:
        out.copy_(values)


@dataclass
class Pointwise:
    """A function of each row alone: activation functions, batch norm, a constant a channel."""

    function: Callable[[Tensor], Tensor]

    def place(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0]

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [False]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> None:
        return None

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        out.copy_(self.function(rows[0]))


class Clamp(Pointwise):
    """Values held within bounds: ReLU, ReLU6, clamp."""

    def __init__(self, least: float | None, most: float | None) -> None:
        super().__init__(partial(torch.clamp, min=least, max=most))
        self.bounds = (least, most)

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        clamp(rows[0], self.bounds, out)


class Affine(Pointwise):
    """A factor and a summand a channel: batch norm that no convolution precedes."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__(lambda rows: torch.addcmul(shift, rows, scale))
        self.scale, self.shift = scale, shift

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        torch.addcmul(self.shift, rows[0], self.scale, out=out)


class Pad(Pointwise):
    """Constant values around the map: the same rows, further down and right on a larger map."""

    def __init__(self, before: tuple[int, int], shape: tuple[int, int]) -> None:
        super().__init__(lambda rows: rows)
        self.before, self.shape = before, shape

    def place(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0].moved(sources[0].boxes + torch.tensor(self.before * 2), self.shape)


@dataclass
class Join:
    """Two or more maps of one size: sum, product, or all channels; the box is the smallest around theirs."""

    function: Callable[..., Any] | None
    """Function of two tensors and ``out``; None joins channels."""

    def place(self, sources: list[RowLayout]) -> RowLayout:
        boxes = bounding([source.boxes for source in sources])
        for source in sources:
            if torch.equal(source.boxes, boxes):
                return source
        return sources[0].moved(boxes, sources[0].shape)

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [not source.same(target) for source in sources]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> list[Tensor | None]:
        where = positions(target.boxes[target.order])
        window = target.order[where[0]]
        return [
            source.locate(window, *where[1:], ZERO) if reads else None
            for source, reads in zip(sources, self.reads(sources, target), strict=True)
        ]

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: list[Tensor | None], out: Tensor) -> None:
        values = [
            own if index is None else torch.index_select(table, 0, index)
            for table, own, index in zip(tables, rows, plan, strict=True)
        ]
        if self.function is None:
            torch.cat(values, dim=1, out=out)
        else:
            self.function(*values, out=out)


@dataclass
class Linear:
    """Convolution of 1 x 1: one matrix product for the rows of all windows, gathered first if it has a stride."""

    weight: Tensor
    """(C, K)"""
    bias: Tensor | None
    sliding: SlidingKernel
    shape: tuple[int, int]

    def place(self, sources: list[RowLayout]) -> RowLayout:
        if self.sliding.stride == (1, 1):
            return sources[0]
        return sources[0].moved(self.sliding.reach(sources[0].boxes, self.shape), self.shape)

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [self.sliding.stride != (1, 1)]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> Tensor | None:
        if self.sliding.stride == (1, 1):
            return None
        box, y, x = positions(target.boxes[target.order])
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
    """Convolution of 3 x 3 without stride between many channels."""

    kernel: Tensor
    """(16, C, K) of :func:`pipeline.engine.winograd.transform_kernel`"""
    bias: Tensor | None
    sliding: SlidingKernel
    shape: tuple[int, int]

    def place(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0].moved(self.sliding.reach(sources[0].boxes, self.shape), self.shape)

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [True]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> tuple[Tensor, Tensor]:
        boxes = target.boxes[target.order]
        tiles = torch.zeros_like(boxes)
        tiles[:, 2:] = (boxes[:, 2:] - boxes[:, :2] + 1) // 2
        box, down, across = positions(tiles)
        tap = torch.arange(4)
        y = boxes[box, 0] + 2 * down - self.sliding.padding[0] + tap[:, None, None]
        x = boxes[box, 1] + 2 * across - self.sliding.padding[1] + tap[:, None]
        index = sources[0].locate(target.order[box], y, x, ZERO).view(16, -1)

        count = tiles[:, 2] * tiles[:, 3]
        box, y, x = positions(boxes)
        y, x = y - boxes[box, 0], x - boxes[box, 1]
        tile = (count.cumsum(0) - count)[box] + (y // 2) * tiles[box, 3] + x // 2
        return index, ((y % 2 * 2 + x % 2) * index.shape[1] + tile).int()

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: tuple[Tensor, Tensor], out: Tensor) -> None:
        tiles = winograd.convolve(tables[0], plan[0], self.kernel, self.bias)
        torch.index_select(tiles.view(-1, out.shape[1]), 0, plan[1], out=out)


@dataclass
class Slide:
    """Any convolution or pooling: boxes of one size together, each with its context, without padding.

    Attributes:
        function: Of contexts (B, C, h, w), gives (B, K, h', w').
        fill: Which row stands for the padding.
        factor: (H', W') by which each output is multiplied, or None.
        bounds: Within which the outputs are held.
    """

    function: partial[Tensor]
    sliding: SlidingKernel
    shape: tuple[int, int]
    fill: int = ZERO
    factor: Tensor | None = None
    bounds: Bounds | None = field(default=None, kw_only=True)

    def place(self, sources: list[RowLayout]) -> RowLayout:
        boxes = self.sliding.reach(sources[0].boxes, self.shape)
        return sources[0].moved(boxes, self.shape, by_size(boxes)[0])

    def reads(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [True]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> tuple[Tensor, list[tuple[int, ...]], Tensor | None]:
        boxes = target.boxes[target.order]
        context = self.sliding.context(boxes)
        box, y, x = positions(context)
        index = sources[0].locate(target.order[box], y, x, self.fill)
        groups: list[tuple[int, ...]] = []
        for count, height, width in by_size(boxes)[1]:
            groups.append((count, *self.sliding.extent(height, width), height * width))
        if self.factor is None:
            return index, groups, None
        _, y, x = positions(boxes)
        return index, groups, self.factor[y, x].unsqueeze(1)

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: Any, out: Tensor) -> None:
        index, groups, factor = plan
        context = torch.index_select(tables[0], 0, index)
        first = begin = 0
        for count, height, width, area in groups:
            last, end = first + count * height * width, begin + count * area
            images = context[first:last].view(count, height, width, -1).permute(0, 3, 1, 2)
            values = self.function(images).permute(0, 2, 3, 1).reshape(count * area, -1)
            clamp(values, self.bounds, out[begin:end])
            first, begin = last, end
        if factor is not None:
            out.mul_(factor)
