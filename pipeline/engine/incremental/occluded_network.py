"""Choice of the engine for occluded images: incremental, where that is possible and gives the network's outputs."""

import torch
from torch import Tensor, nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator
from pipeline.engine.network.equivalence import require_same_outputs
from pipeline.engine.network.guarded import Batches, GuardedCopy

ENGINES = ("auto", "dense", "incremental")
COMPARED_WINDOWS = 3
"""Windows, the first and the last among them, with which the incremental evaluator is compared with the network."""


class OccludedNetwork:
    """Chooses the engine for a model's occluded images, once for each kind of image and each state of the model.

    Args:
        model: (P, C, H, W) -> outputs.
        engine: ``auto``, ``dense`` (evaluate every occluded image in full) or ``incremental`` (refuse a network whose
            activations cannot be recomputed in part).
    """

    def __init__(self, model: nn.Module, engine: str) -> None:
        self.model, self.engine = model, engine
        self._copy = GuardedCopy[IncrementalEvaluator](model, otherwise="every occluded image is evaluated in full")

    def incremental(
        self, images: Tensor, baselines: Tensor, boxes: Tensor, chunk: int | None
    ) -> IncrementalEvaluator | None:
        """Return the incremental evaluator for images like these, or None where each has to be evaluated in full.

        Args:
            images: (N, C, H, W).
            baselines: (N, C, H, W).
            boxes: (G, 4) int64 windows, or boxes around segments: top, left, bottom, right; on the CPU.
            chunk: Windows computed together; None: its own default.

        Raises:
            ValueError: If the engine must be incremental and cannot.
        """
        if self.engine == "dense":
            return None
        evaluator = self._copy.get(images, lambda batches: self._built(batches, baselines[:1], boxes, chunk), chunk)
        refusal = self._copy.refusal
        if self.engine == "incremental" and refusal is not None and not refusal.differs:
            raise ValueError(
                f"engine=incremental: {refusal.reason}; engine=auto evaluates every occluded image in full instead"
            )
        if self.engine == "auto" and evaluator is not None and not evaluator.pays(boxes):
            return None
        return evaluator

    def _built(self, batches: Batches, baseline: Tensor, boxes: Tensor, chunk: int | None) -> IncrementalEvaluator:
        evaluator = IncrementalEvaluator(self.model, batches[0][:1], internal_batch_size=chunk)
        few = boxes[torch.linspace(0, len(boxes) - 1, COMPARED_WINDOWS).long()]
        for batch in batches:
            values = evaluator.values(batch, baseline, few)
            # The model's own outputs, image by image: what is compared must not depend on the others in a batch.
            expected = torch.cat([self.model(occluded) for occluded in _occluded(batch, baseline, few).split(1)])
            require_same_outputs(values.flatten(0, 1), expected, batch)
        return evaluator


def _occluded(images: Tensor, baseline: Tensor, boxes: Tensor) -> Tensor:
    """(N * G, C, H, W), each image with each of the boxes (G, 4) replaced by the baseline (1, C, H, W)."""
    occluded = images.repeat_interleave(len(boxes), 0)
    for image, (top, left, bottom, right) in zip(occluded, boxes.tolist() * len(images), strict=True):
        image[:, top:bottom, left:right] = baseline[0, :, top:bottom, left:right]
    return occluded
