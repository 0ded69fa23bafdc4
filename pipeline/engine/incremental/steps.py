"""Steps: changed rows of one activation from those of the activations that it is computed from, position by position.

Those that read a neighbourhood of each position are in :mod:`pipeline.engine.incremental.sliding_steps`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.engine.incremental.boxes import ZERO, RowLayout, bounding_boxes, positions_in


class Step(Protocol):
    """One operation of a network, on the changed rows alone."""

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        """Return the boxes of the result, from those of what it is computed from."""

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        """Return for each source whether its table is read, or only its changed rows."""

    def plan(self, sources: list[RowLayout], target: RowLayout) -> Any:
        """Return the row numbers that :meth:`run` gathers, which are the same for every image."""

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: Any, out: Tensor) -> None:
        """Compute the changed rows.

        Args:
            tables: Of each source, (clean and changed rows, C); only the changed ones where the table is not read.
            rows: Changed rows of each source, (R, C).
            plan: Of :meth:`plan`.
            out: Changed rows of the result, (R', K), which are written.
        """


@dataclass
class Pointwise:
    """A function of each row alone: activation functions, batch norm, a constant for each channel."""

    function: Callable[[Tensor], Tensor]

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0]

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [False]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> None:
        return None

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        out.copy_(self.function(rows[0]))


class Clamp(Pointwise):
    """Values within bounds, None for no bound: ReLU, ReLU6, clamp."""

    def __init__(self, lowest: float | None, highest: float | None) -> None:
        super().__init__(partial(torch.clamp, min=lowest, max=highest))
        self.bounds = (lowest, highest)

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        torch.clamp(rows[0], *self.bounds, out=out)


class Affine(Pointwise):
    """A factor and a summand for each channel: batch norm that no convolution precedes."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__(lambda rows: torch.addcmul(shift, rows, scale))
        self.scale, self.shift = scale, shift

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: None, out: Tensor) -> None:
        torch.addcmul(self.shift, rows[0], self.scale, out=out)


class Pad(Pointwise):
    """Constant values around the map: the same changed rows, further down and right on a larger map."""

    def __init__(self, before: tuple[int, int], shape: tuple[int, int]) -> None:
        super().__init__(lambda rows: rows)
        self.before, self.shape = before, shape

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        return sources[0].with_boxes(sources[0].boxes + torch.tensor(self.before * 2), self.shape)


@dataclass
class Join:
    """Two or more maps of one size: sum, product, or concatenated channels; its box is the smallest around theirs."""

    function: Callable[..., Any] | None
    """Function of two tensors and ``out``; None concatenates channels."""

    def layout(self, sources: list[RowLayout]) -> RowLayout:
        boxes = bounding_boxes([source.boxes for source in sources])
        for source in sources:
            if torch.equal(source.boxes, boxes):
                return source
        return sources[0].with_boxes(boxes, sources[0].shape)

    def reads_tables(self, sources: list[RowLayout], target: RowLayout) -> list[bool]:
        return [not source.has_rows_of(target) for source in sources]

    def plan(self, sources: list[RowLayout], target: RowLayout) -> list[Tensor | None]:
        box, y, x = positions_in(target.boxes[target.order])
        window = target.order[box]
        return [
            source.locate(window, y, x, ZERO) if reads else None
            for source, reads in zip(sources, self.reads_tables(sources, target), strict=True)
        ]

    def run(self, tables: list[Tensor], rows: list[Tensor], plan: list[Tensor | None], out: Tensor) -> None:
        values = [
            changed if index is None else torch.index_select(table, 0, index)
            for table, changed, index in zip(tables, rows, plan, strict=True)
        ]
        if self.function is None:
            torch.cat(values, dim=1, out=out)
        else:
            self.function(*values, out=out)
