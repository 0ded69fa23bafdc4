"""Schedule of an incremental evaluation: what is computed for one set of windows, the same for every image."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from pipeline.engine.incremental.boxes import FILLS, LOWEST, ZERO, RowLayout, positions_in
from pipeline.engine.incremental.cost import local_steps
from pipeline.engine.incremental.operations import maps_read
from pipeline.engine.incremental.step_graph import StepGraph
from pipeline.engine.incremental.steps import Pointwise
from pipeline.engine.network.subgraph import subgraph

HEAD_BATCH = 256
"""Windows that a tail without convolutions takes at once: its matrices are read once for all of them."""
TAIL_BATCH = 4
"""Windows that any other tail takes at once on a CPU: more leave the cache (whole maps, measured on seven networks)."""
ReplacedChannels = Callable[[Tensor, Tensor], Tensor]
"""Numbers of windows (R,), positions y * W + x (R,) -> channels that the window replaces there, bool (R, C or 1)."""


@dataclass(frozen=True)
class Chunk:
    """A few windows, and the rows that each step reads and writes for them."""

    windows: Tensor
    layouts: dict[fx.Node, RowLayout]
    plans: dict[fx.Node, Any]
    pixels: tuple[Tensor, Tensor, Tensor]
    """Of every row of the occluded input: number of the window, position y * W + x, and row among the images' rows."""
    maps: dict[fx.Node, Tensor]
    """(B * H * W,) row of every position of the activations that the tail takes whole."""


class Schedule:
    """Computation for one set of windows, of one image or of a fixed number of images at once.

    The first steps of the network run on boxes (see :func:`~pipeline.engine.incremental.cost.local_steps`); its tail,
    from there on, on whole activations. The tables of the activations that steps or the tail read are first filled by
    one evaluation of the clean images.

    Args:
        graph: The network and its steps.
        boxes: (G, 4) int64, the windows.
        images: Images whose windows are computed together.
        internal_batch_size: Windows of one image in a chunk.
        device: Of the images.

    Attributes:
        saved: Seconds, by the cost model, that a window takes less than a whole evaluation.
    """

    def __init__(
        self, graph: StepGraph, boxes: Tensor, *, images: int, internal_batch_size: int, device: torch.device
    ) -> None:
        self.boxes, self.images, self._shapes, self._device = boxes, images, graph.shapes, device
        self._image = graph.image
        self._steps, self._sources = graph.steps, {node: maps_read(node) for node in graph.steps}
        layouts = self._layouts(boxes, torch.zeros(len(boxes), dtype=torch.int64))
        channels = {node: self._shapes[node][1] for node in layouts}
        count, self.saved = local_steps(self._steps, self._sources, layouts, channels)
        self._steps = dict(itertools.islice(self._steps.items(), count))
        local = [self._image, *self._steps]
        self._live = [node for node in local if any(user not in self._steps for user in node.users)]  # the tail's input
        tables = set(self._live)
        for node, step in self._steps.items():
            sources = self._sources[node]
            reads = step.reads_tables([layouts[source] for source in sources], layouts[node])
            tables |= {source for source, table in zip(sources, reads, strict=True) if table}
        self._tables = [node for node in local if node in tables]
        self._clean = subgraph(graph.network, [self._image], self._tables)
        self._tail = subgraph(graph.network, self._live)
        self._internal_batch_size = internal_batch_size
        light = not any(isinstance(module, (nn.Conv2d, nn.LayerNorm)) for module in self._tail.modules())
        self._tail_batch = HEAD_BATCH if light else TAIL_BATCH
        self._storage: dict[fx.Node, Tensor] = {}

    @cached_property
    def _chunks(self) -> list[Chunk]:
        windows = torch.arange(len(self.boxes)).repeat(self.images)
        image = torch.arange(self.images).repeat_interleave(len(self.boxes))
        size = self._internal_batch_size if self.images == 1 else len(windows)
        return [self._chunk(*part) for part in zip(windows.split(size), image.split(size), strict=True)]

    def _layouts(self, boxes: Tensor, image: Tensor) -> dict[fx.Node, RowLayout]:
        height, width = self._shapes[self._image][2:]
        layouts = {self._image: RowLayout(boxes, (height, width), torch.arange(len(boxes)), image, self.images)}
        for node, step in self._steps.items():
            layouts[node] = step.layout([layouts[source] for source in self._sources[node]])
        return layouts

    def _chunk(self, windows: Tensor, image: Tensor) -> Chunk:
        layouts = self._layouts(self.boxes[windows], image)
        plans = {
            node: step.plan([layouts[source] for source in self._sources[node]], layouts[node])
            for node, step in self._steps.items()
        }
        window, y, x = positions_in(self.boxes[windows])
        maps = {node: self._rows_of_map(layouts[node]) for node in self._live}
        height, width = layouts[self._image].shape
        position = y * width + x
        pixels = windows[window], position, image[window] * height * width + position
        return Chunk(windows, layouts, *(_on(self._device, part) for part in (plans, pixels, maps)))

    @staticmethod
    def _rows_of_map(layout: RowLayout) -> Tensor:
        """Return the rows (B * H * W,) of all positions of an activation, as each window has changed it."""
        height, width = layout.shape
        window = torch.arange(len(layout.boxes))[:, None, None]
        return layout.locate(window, torch.arange(height)[:, None], torch.arange(width), ZERO).flatten()

    def _allocate(self, like: Tensor) -> None:
        """Allocate rows for every activation; one that a pointwise step alone reads shares the rows of its result."""
        for node in reversed([self._image, *self._steps]):
            rows = max(chunk.layouts[node].rows for chunk in self._chunks)
            channels, height, width = self._shapes[node][1:]
            user, single = next(iter(node.users)), len(node.users) == 1
            if node in self._tables:
                self._storage[node] = like.new_zeros(self._before(node) + rows, channels)
                self._storage[node][height * width + LOWEST] = -torch.inf  # the row ZERO is zero already
            elif single and isinstance(self._steps.get(user), Pointwise) and self._shapes[user][1] == channels:
                self._storage[node] = self._rows(user)
            else:
                self._storage[node] = like.new_empty(rows, channels)

    def _rows(self, node: fx.Node) -> Tensor:
        storage = self._storage[node]
        return storage[self._before(node) :] if node in self._tables else storage

    def _before(self, node: fx.Node) -> int:
        """Return the number of a table's rows before the changed ones."""
        height, width = self._shapes[node][2:]
        return self.images * (height * width + FILLS)

    def run(self, images: Tensor, baselines: Tensor, replaced: ReplacedChannels | None) -> Tensor:
        """Return the logits (N * G, K), image after image, of N = ``self.images`` images (N, C, H, W)."""
        if not self._storage:
            self._allocate(images)
        for node, clean in zip(self._tables, self._clean(images), strict=True):
            rows = self._storage[node][: self._before(node)].unflatten(0, (self.images, -1))
            rows[:, :-FILLS] = _as_rows(clean).unflatten(0, (self.images, -1))
        pixels, others = _as_rows(images), _as_rows(baselines)
        logits, waiting = [], []  # waiting: activations for the tail, until they fill its batch
        for chunk in self._chunks:
            waiting.append(self._recompute(chunk, pixels, others, replaced))
            if len(waiting) * len(chunk.windows) >= self._tail_batch or chunk is self._chunks[-1]:
                taken = [torch.cat(maps) if len(maps) > 1 else maps[0] for maps in zip(*waiting, strict=True)]
                size = len(chunk.windows) if images.is_cuda else self._tail_batch
                parts = zip(*(maps.split(size) for maps in taken), strict=True)
                logits += [self._tail(*part) for part in parts]
                waiting = []
        return torch.cat(logits)

    def _recompute(
        self, chunk: Chunk, pixels: Tensor, others: Tensor, replaced: ReplacedChannels | None
    ) -> list[Tensor]:
        """Run the steps for the windows of a chunk; return the whole activations (B, C, H, W) that the tail takes."""
        window, position, row = chunk.pixels
        occluded = others.index_select(0, row)
        if replaced is not None:
            occluded = torch.where(replaced(window, position), occluded, pixels.index_select(0, row))
        rows = {self._image: self._rows(self._image)[: len(occluded)]}
        rows[self._image].copy_(occluded)
        for node, step in self._steps.items():
            sources = self._sources[node]
            rows[node] = self._rows(node)[: chunk.layouts[node].rows]
            tables = [self._storage[source] for source in sources]
            step.run(tables, [rows[source] for source in sources], chunk.plans[node], rows[node])
        whole = []
        for node, index in chunk.maps.items():
            values = self._storage[node].index_select(0, index)
            height, width = self._shapes[node][2:]
            whole.append(values.view(-1, height, width, values.shape[1]).permute(0, 3, 1, 2))
        return whole


def _on(device: torch.device, value: Any) -> Any:
    """Return ``value`` with every tensor in it moved to ``device``."""
    match value:
        case Tensor():
            return value.to(device)
        case dict():
            return {key: _on(device, part) for key, part in value.items()}
        case list() | tuple():
            return type(value)(_on(device, part) for part in value)
    return value


def _as_rows(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N * H * W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
