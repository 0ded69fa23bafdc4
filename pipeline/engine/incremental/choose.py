"""The engine that recomputes only what a window changes, where that is possible and gives the same values."""

import logging

import torch
from torch import Tensor, nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator, NotLocal
from pipeline.engine.network.prepare import CannotTrace
from pipeline.engine.network.state import hooked, weights_state

log = logging.getLogger(__name__)

ENGINES = ("auto", "dense", "incremental")


class OccludedNetwork:
    """Chooses the engine for a model's occluded images, once for each kind of image and each state of the model.

    Args:
        model: (P, C, H, W) -> outputs.
        engine: ``auto``, ``dense`` (never recompute in part) or ``incremental`` (refuse what cannot be).
    """

    def __init__(self, model: nn.Module, engine: str) -> None:
        self.model, self.engine = model, engine
        self._asked: object = None
        self._answer: IncrementalEvaluator | None = None

    def incremental(
        self, images: Tensor, starts: Tensor, boxes: Tensor, chunk: int | None
    ) -> IncrementalEvaluator | None:
        """The engine for images (N, C, H, W) and their baselines, or None where every point must be asked whole.

        Args:
            images: (N, C, H, W).
            starts: Baselines (N, C, H, W).
            boxes: (G, 4) int64 windows, or boxes around segments: top, left, bottom, right; on the CPU.
            chunk: Windows computed together; None: its own default.

        Raises:
            ValueError: If the engine must be incremental and cannot.
        """
        if self.engine == "dense" or self.model.training or hooked(self.model):
            return None
        asked = (images.shape[1:], images.dtype, images.device, chunk, weights_state(self.model))
        if asked != self._asked:
            self._answer, self._asked = self._checked(images, starts, boxes, chunk), asked
        if self.engine == "auto" and self._answer is not None and not self._answer.pays(boxes):
            return None
        return self._answer

    def _checked(self, images: Tensor, starts: Tensor, boxes: Tensor, chunk: int | None) -> IncrementalEvaluator | None:
        try:
            engine = IncrementalEvaluator(self.model, images[:1], internal_batch_size=chunk)
        except (CannotTrace, NotLocal) as reason:
            if self.engine == "incremental":
                raise ValueError(
                    f"engine=incremental: {reason}; engine=auto asks every point whole instead"
                ) from reason
            log.debug("every occluded image is asked whole: %s", reason)
            return None
        off = engine.agrees(images, starts, boxes)
        if off > torch.finfo(images.dtype).eps ** 0.5:
            log.warning(
                "incremental occlusion is off by %.1e on the first image: every occluded image is asked whole", off
            )
            return None
        return engine
