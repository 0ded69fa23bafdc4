"""Incremental occlusion: for each window, recompute only what the window can change.

Source: S. Nakandala, A. Kumar and Y. Papakonstantinou, Incremental and Approximate Inference for Faster
Occlusion-based Deep CNN Explanations, SIGMOD 2019, section 3. Here for any network that torch.fx traces, with boxes
clipped exactly.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.engine.incremental.cost import MATRIX
from pipeline.engine.incremental.schedule import ReplacedChannels, Schedule
from pipeline.engine.incremental.step_graph import StepGraph
from pipeline.engine.network.prepare import prepare
from pipeline.engine.network.trace import NoCopy

CPU_CHUNK, GPU_CHUNK = 16, 128
"""Windows whose boxes fit a core's cache (measured), and that keep a GPU busy (Krypton's choice; not measured here)."""
WORTH = 0.05
"""Share of a whole evaluation that must be saved: the cost model does not see costs of this size."""


class NotLocal(NoCopy):
    """The network's first operation already mixes all positions, so that none of its work can be reused."""


class IncrementalEvaluator:
    """Logits of a network for images with windows replaced by a baseline; what a window leaves is not recomputed.

    Args:
        module: The classifier, (N, C, H, W) to (N, K); a prepared copy is used, the module is left unchanged.
        example: (1, C, H, W) image or any tensor of its shape, type and device.
        internal_batch_size: Windows computed together; None: as many as were fastest on such devices.

    Raises:
        CannotTrace: torch.fx cannot record the network.
        NotLocal: None of its work can be reused.
    """

    def __init__(self, module: nn.Module, example: Tensor, *, internal_batch_size: int | None = None) -> None:
        self.network = prepare(module)
        self.internal_batch_size = internal_batch_size or (CPU_CHUNK if example.device.type == "cpu" else GPU_CHUNK)
        self.device = example.device
        self._graph = StepGraph.of(self.network, example[:1])
        if not self._graph.steps:
            raise NotLocal(f"{type(module).__name__} mixes all positions of the image at once")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.network(example[:1])
        self._seconds = float(counter.get_total_flops()) / MATRIX  # of a whole evaluation
        self._schedules: dict[int, Schedule] = {}  # by the number of images

    def pays(self, boxes: Tensor) -> bool:
        """Return whether windows (G, 4) leave enough of the network's work unchanged."""
        saved: float = self._schedule(boxes, 1).saved
        return saved > WORTH * self._seconds

    @torch.inference_mode()
    def values(
        self,
        images: Tensor,
        baseline: Tensor,
        boxes: Tensor,
        replaced: ReplacedChannels | None = None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Return the logits (N, G, K) of every image with every window replaced.

        Where an image has few windows, those of several images are computed together.

        Args:
            images: (N, C, H, W).
            baseline: (1, C, H, W) or (N, C, H, W).
            boxes: (G, 4) int64, on the CPU, top, left, bottom, right of the windows, within the image, none empty.
            replaced: Channels of its box that a window replaces; None: all.
            check: Called before each chunk of images; what it raises ends the evaluation.
        """
        baselines = baseline.expand_as(images)
        passes = -(-len(images) // max(1, self.internal_batch_size // len(boxes)))
        logits = []
        for some, others in zip(images.tensor_split(passes), baselines.tensor_split(passes), strict=True):
            check()
            logits.append(self._schedule(boxes, len(some)).run(some, others, replaced))
        joined = torch.cat(logits)
        return joined.view(len(images), len(boxes), *joined.shape[1:])

    def _schedule(self, boxes: Tensor, images: int) -> Schedule:
        if not all(torch.equal(schedule.boxes, boxes) for schedule in self._schedules.values()):
            self._schedules.clear()
        if images not in self._schedules:
            self._schedules[images] = Schedule(
                self._graph, boxes, images=images, internal_batch_size=self.internal_batch_size, device=self.device
            )
        return self._schedules[images]
