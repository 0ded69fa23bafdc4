"""Incremental occlusion: for each window, recompute only what the window can change.

Source: S. Nakandala, A. Kumar and Y. Papakonstantinou, Incremental and Approximate Inference for Faster
Occlusion-based Deep CNN Explanations, SIGMOD 2019, section 3. Here over any network that torch.fx traces, with boxes
clipped exactly.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.utils.flop_counter import FlopCounterMode

from pipeline.engine.incremental.cost import MATRIX
from pipeline.engine.incremental.operations import step_of
from pipeline.engine.incremental.schedule import ReplacedChannels, Schedule, maps_read
from pipeline.engine.incremental.steps import Step
from pipeline.engine.network.prepare import prepare
from pipeline.engine.network.trace import NoCopy

CPU_CHUNK, GPU_CHUNK = 16, 128
"""Windows whose boxes fit a core's cache (measured), and that keep a GPU busy (Krypton's choice; not measured here)."""
WORTH = 0.05
"""Share of a whole evaluation that must be saved; what the cost model does not see may take as much."""


class NotLocal(NoCopy):
    """The network's first operation already mixes all positions, so that no part of its work can be kept."""


class IncrementalEvaluator:
    """Logits of a network for images with windows replaced by a baseline; what a window leaves is not repeated.

    Args:
        module: The classifier, (N, C, H, W) to (N, K); a prepared copy is used, the module stays as it is.
        example: (1, C, H, W) image or any tensor of its shape, type and device.
        internal_batch_size: Windows computed together; None: as many as were fastest on such devices.

    Raises:
        CannotTrace: torch.fx cannot follow the network.
        NotLocal: Nothing in it can be kept.
    """

    def __init__(self, module: nn.Module, example: Tensor, *, internal_batch_size: int | None = None) -> None:
        self.network = prepare(module)
        self.internal_batch_size = internal_batch_size or (CPU_CHUNK if example.device.type == "cpu" else GPU_CHUNK)
        self.device = example.device
        with torch.inference_mode():
            ShapeProp(self.network).propagate(example[:1])
        metas = {node: node.meta.get("tensor_meta") for node in self.network.graph.nodes if node.op != "get_attr"}
        self._shapes = {node: meta.shape for node, meta in metas.items() if _is_map(meta)}
        self._image = next(node for node in self.network.graph.nodes if node.op == "placeholder")
        self._steps: dict[fx.Node, Step] = {}
        for node in self.network.graph.nodes:
            known = (source in self._steps or source is self._image for source in maps_read(node))
            step = step_of(node, self._shapes, self.network) if all(known) else None
            if step is not None:
                self._steps[node] = step
        if not self._steps:
            raise NotLocal(f"{type(module).__name__} mixes all positions of the image at once")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.network(example[:1])
        self._seconds = float(counter.get_total_flops()) / MATRIX
        self._schedules: dict[int, Schedule] = {}

    def pays(self, boxes: Tensor) -> bool:
        """Whether windows (G, 4) leave enough of the network's work to be worth the effort."""
        saved: float = self._scheduled(boxes, 1).saved
        return saved > WORTH * self._seconds

    @torch.inference_mode()
    def values(
        self,
        images: Tensor,
        baseline: Tensor,
        boxes: Tensor,
        inside: ReplacedChannels | None = None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Logits (N, G, K) of every image with every window replaced; few windows of several images at once.

        Args:
            images: (N, C, H, W).
            baseline: (1, C, H, W) or (N, C, H, W).
            boxes: (G, 4) int64, on the CPU, top, left, bottom, right of the windows, within the image, none empty.
            inside: What of its box a window replaces; None: all.
            check: Called before each pass; what it raises ends the work.
        """
        baselines = baseline.expand_as(images)
        passes = -(-len(images) // max(1, self.internal_batch_size // len(boxes)))
        logits = []
        for some, others in zip(images.tensor_split(passes), baselines.tensor_split(passes), strict=True):
            check()
            logits.append(self._scheduled(boxes, len(some)).run(some, others, inside))
        joined = torch.cat(logits)
        return joined.view(len(images), len(boxes), *joined.shape[1:])

    def _scheduled(self, boxes: Tensor, images: int) -> Schedule:
        if not all(torch.equal(schedule.boxes, boxes) for schedule in self._schedules.values()):
            self._schedules.clear()
        if images not in self._schedules:
            self._schedules[images] = Schedule(
                self.network, self._steps, self._shapes, boxes,
                images=images, internal_batch_size=self.internal_batch_size, device=self.device,
            )  # fmt: skip
        return self._schedules[images]


def _is_map(meta: Any) -> bool:
    return isinstance(meta, tuple) and isinstance(meta[0], torch.Size) and len(meta[0]) == 4
