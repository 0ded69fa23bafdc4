"""Incremental occlusion: for each window, recompute only what the window can change.

Source: S. Nakandala, A. Kumar and Y. Papakonstantinou, Incremental and Approximate Inference for Faster
Occlusion-based Deep CNN Explanations, SIGMOD 2019, section 3. Here over any network that torch.fx traces, with boxes
clipped exactly.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pipeline.engine.boxes import FILLS, ZERO, Layout, positions
from pipeline.engine.cost import local_steps
from pipeline.engine.prepare import prepare
from pipeline.engine.recognise import recognise
from pipeline.engine.steps import Pointwise, Step

HEAD_BATCH = 256
"""Windows that a tail without convolutions takes at once: its matrices are read once for all of them."""
TAIL_BATCH = 4
"""Windows that any other tail takes at once on a CPU: more leave the cache (whole maps, measured on seven networks)."""


class NotLocal(Exception):
    """The network's first operation already mixes all positions, so that no part of its work can be kept."""


@dataclass(frozen=True)
class Chunk:
    """A few windows, and the rows that each step reads and writes for them."""

    windows: Tensor
    layouts: dict[fx.Node, Layout]
    plans: dict[fx.Node, Any]
    pixels: tuple[Tensor, Tensor]
    """Number of the window, and position on the flat map, of every row of the occluded input."""
    maps: dict[fx.Node, Tensor]
    """(B * H * W,) row of every position of the activations that the tail takes whole."""


class Incremental:
    """Logits of a network for images with windows replaced by a baseline; what a window leaves as it was is not repeated.

    Args:
        module: The classifier, (N, C, H, W) to (N, K); a prepared copy is used, the module stays as it is.
        example: (1, C, H, W) image or any tensor of its shape, type and device.
        internal_batch_size: Windows computed together.

    Raises:
        CannotTrace: torch.fx cannot follow the network.
        NotLocal: Nothing in it can be kept.
    """

    def __init__(self, module: nn.Module, example: Tensor, *, internal_batch_size: int = 16) -> None:
        self.network = prepare(module).to(memory_format=torch.channels_last)
        self.internal_batch_size = internal_batch_size
        with torch.inference_mode():
            ShapeProp(self.network).propagate(example[:1])
        metas = {node: node.meta.get("tensor_meta") for node in self.network.graph.nodes if node.op != "get_attr"}
        self._shapes = {node: meta.shape for node, meta in metas.items() if _is_map(meta)}
        self._image = next(node for node in self.network.graph.nodes if node.op == "placeholder")
        self._steps: dict[fx.Node, Step] = {}
        for node in self.network.graph.nodes:
            known = (source in self._steps or source is self._image for source in maps_read(node))
            step = recognise(node, self._shapes, self.network) if all(known) else None
            if step is not None:
                self._steps[node] = step
        if not self._steps:
            raise NotLocal(f"{type(module).__name__} mixes all positions of the image at once")
        self._schedule: Schedule | None = None

    @torch.inference_mode()
    def values(self, images: Tensor, baseline: Tensor, boxes: Tensor, channels: Tensor | None = None) -> Tensor:
        """Logits (N, G, K) of every image with every window replaced.

        Args:
            images: (N, C, H, W).
            baseline: (1, C, H, W) or (N, C, H, W).
            boxes: (G, 4) int64 top, left, bottom, right of the windows, within the image, none empty.
            channels: (G, 2) int64 first and last + 1 channel of the windows; None: all.
        """
        if self._schedule is None or not torch.equal(self._schedule.boxes, boxes):
            self._schedule = Schedule(self, boxes)
        baselines = baseline.expand_as(images)
        pairs = zip(images.unsqueeze(1), baselines.unsqueeze(1), strict=True)
        return torch.stack([self._schedule.run(image, other, channels) for image, other in pairs])

    def agrees(self, images: Tensor, baseline: Tensor, boxes: Tensor) -> float:
        """Largest difference from whole evaluations, of their range, over the first image and five windows."""
        few = boxes[torch.linspace(0, len(boxes) - 1, 5).long()]
        occluded = images[:1].repeat(len(few), 1, 1, 1)
        for picture, (top, left, bottom, right) in zip(occluded, few.tolist(), strict=True):
            picture[:, top:bottom, left:right] = baseline[0, :, top:bottom, left:right]
        with torch.inference_mode():
            expected = self.network(occluded)
        found = self.values(images[:1], baseline[:1], few)[0]
        return float((found - expected).abs().max() / (expected.max() - expected.min()))


class Schedule:
    """What is done for one set of windows, the same for every image."""

    def __init__(self, owner: Incremental, boxes: Tensor) -> None:
        self.boxes, self._image, self._shapes = boxes, owner._image, owner._shapes
        self._steps, self._sources = owner._steps, {node: maps_read(node) for node in owner._steps}
        layouts = self._layouts(boxes)
        channels = {node: self._shapes[node][1] for node in layouts}
        count = local_steps(self._steps, self._sources, layouts, channels)
        self._steps = dict(itertools.islice(self._steps.items(), count))
        local = [self._image, *self._steps]
        self._live = [node for node in local if any(user not in self._steps for user in node.users)]
        read = set(self._live)
        for node, step in self._steps.items():
            sources = self._sources[node]
            wanted = step.reads([layouts[source] for source in sources], layouts[node])
            read |= {source for source, reads in zip(sources, wanted, strict=True) if reads}
        self._tables = [node for node in local if node in read]
        self._clean = _subgraph(owner.network, [self._image], self._tables)
        self._tail = _subgraph(owner.network, self._live, None)
        order = torch.arange(len(boxes))
        self._chunks = [self._chunk(windows, boxes) for windows in order.split(owner.internal_batch_size)]
        light = not any(isinstance(module, (nn.Conv2d, nn.LayerNorm)) for module in self._tail.modules())
        self._tail_batch = HEAD_BATCH if light else TAIL_BATCH
        self._storage: dict[fx.Node, Tensor] = {}

    def _layouts(self, boxes: Tensor) -> dict[fx.Node, Layout]:
        shape = tuple(self._shapes[self._image][2:])
        layouts = {self._image: Layout(boxes, shape, torch.arange(len(boxes)))}
        for node, step in self._steps.items():
            layouts[node] = step.place([layouts[source] for source in self._sources[node]])
        return layouts

    def _chunk(self, windows: Tensor, boxes: Tensor) -> Chunk:
        layouts = self._layouts(boxes[windows])
        plans = {
            node: step.plan([layouts[source] for source in self._sources[node]], layouts[node])
            for node, step in self._steps.items()
        }
        window, y, x = positions(boxes[windows])
        maps = {node: self._whole(layouts[node]) for node in self._live}
        return Chunk(windows, layouts, plans, (windows[window], y * layouts[self._image].shape[1] + x), maps)

    @staticmethod
    def _whole(layout: Layout) -> Tensor:
        height, width = layout.shape
        window = torch.arange(len(layout.boxes))[:, None, None]
        return layout.locate(window, torch.arange(height)[:, None], torch.arange(width), ZERO).flatten()

    def _allocate(self, like: Tensor) -> None:
        """Rows for every activation; one that only a pointwise step reads is kept where that step's values will be."""
        for node in reversed([self._image, *self._steps]):
            rows = max(chunk.layouts[node].rows for chunk in self._chunks)
            channels, height, width = self._shapes[node][1:]
            user, single = next(iter(node.users)), len(node.users) == 1
            if node in self._tables:
                self._storage[node] = like.new_zeros(height * width + FILLS + rows, channels)
                self._storage[node][height * width + 1] = -torch.inf
            elif single and isinstance(self._steps.get(user), Pointwise) and self._shapes[user][1] == channels:
                self._storage[node] = self._rows(user)
            else:
                self._storage[node] = like.new_empty(rows, channels)

    def _rows(self, node: fx.Node) -> Tensor:
        storage = self._storage[node]
        height, width = self._shapes[node][2:]
        return storage[height * width + FILLS :] if node in self._tables else storage

    def run(self, image: Tensor, baseline: Tensor, channels: Tensor | None) -> Tensor:
        """Logits (G, K) for one image (1, C, H, W)."""
        if not self._storage:
            self._allocate(image)
        for node, clean in zip(self._tables, self._clean(image), strict=True):
            self._storage[node][: clean[0, 0].numel()] = _as_rows(clean)
        pixels, others = _as_rows(image), _as_rows(baseline)
        logits, waiting = [], []
        for chunk in self._chunks:
            waiting.append(self._patches(chunk, pixels, others, channels))
            if len(waiting) * len(chunk.windows) >= self._tail_batch or chunk is self._chunks[-1]:
                taken = [torch.cat(maps) if len(maps) > 1 else maps[0] for maps in zip(*waiting, strict=True)]
                size = len(chunk.windows) if image.is_cuda else self._tail_batch
                parts = zip(*(maps.split(size) for maps in taken), strict=True)
                logits += [self._tail(*part)[0] for part in parts]
                waiting = []
        return torch.cat(logits)

    def _patches(self, chunk: Chunk, pixels: Tensor, others: Tensor, channels: Tensor | None) -> list[Tensor]:
        """Whole activations (B, C, H, W), for the windows of a chunk, that the tail takes."""
        window, position = chunk.pixels
        occluded = others.index_select(0, position)
        if channels is not None:
            number = torch.arange(pixels.shape[1])
            first, last = channels[window].unsqueeze(2).unbind(1)
            occluded = torch.where((number >= first) & (number < last), occluded, pixels.index_select(0, position))
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


def maps_read(node: fx.Node) -> list[fx.Node]:
    """What ``node`` reads, constants apart."""
    return [source for source in node.all_input_nodes if source.op != "get_attr"]


def _is_map(meta: Any) -> bool:
    return isinstance(meta, tuple) and isinstance(meta[0], torch.Size) and len(meta[0]) == 4


def _as_rows(maps: Tensor) -> Tensor:
    """(1, C, H, W) as (H * W, C)."""
    return maps[0].permute(1, 2, 0).flatten(0, 1)


def _subgraph(network: fx.GraphModule, inputs: list[fx.Node], outputs: list[fx.Node] | None) -> fx.GraphModule:
    """The part of ``network`` from ``inputs`` to the tuple of ``outputs``; None: of the network's own output."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in network.graph.nodes:
        if node.op == "output":
            ends = [copies[end] for end in outputs] if outputs else [copies[node.args[0]]]
            graph.output(tuple(ends))
        elif node.op == "placeholder" or node in copies:
            continue
        elif all(source in copies for source in node.all_input_nodes):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    part = fx.GraphModule(network, graph)
    part.graph.eliminate_dead_code()
    part.delete_all_unused_submodules()
    part.recompile()
    return part
