"""Saliency and input x gradient: the gradient at the image itself, in one backward pass."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.method import Attribution, Method
from pipeline.view import Gradients, View


class Saliency(Method):
    """Gradient of the target's output at the image.

    Simonyan et al. 2013, "Deep Inside Convolutional Networks" (arXiv 1312.6034), section 3.

    Args:
        model: A network in eval mode, or a view of one.
        abs: Take absolute values.
        internal_batch_size: Images in one forward pass; None finds the fastest.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")
    reads_scores: ClassVar[bool] = False

    def __init__(self, model: nn.Module | View, *, abs: bool = True, internal_batch_size: int | None = None) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)
        self.abs = abs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        maps: list[Tensor] = []

        def evaluate_chunk(start: int, stop: int) -> None:
            maps.append(self._map(self.view.gradients(images[start:stop], targets[start:stop])))

        self.evaluator.evaluate(len(images), evaluate_chunk)
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(torch.cat(maps), undefined, undefined, evaluations=1)

    def _map(self, chunk: Gradients) -> Tensor:
        """Compute maps (P, T, *) from the gradients of a chunk."""
        return chunk.gradients.abs() if self.abs else chunk.gradients


class InputXGradient(Saliency):
    """Image times the gradient at it; over a layer, its activation times the gradient there.

    Shrikumar et al. 2016, "Not Just a Black Box" (arXiv 1605.01713).

    Args:
        model: A network in eval mode, or a view of one.
        internal_batch_size: Images in one forward pass; None finds the fastest.
    """

    def __init__(self, model: nn.Module | View, *, internal_batch_size: int | None = None) -> None:
        super().__init__(model, abs=False, internal_batch_size=internal_batch_size)

    def _map(self, chunk: Gradients) -> Tensor:
        return chunk.inputs[:, None] * chunk.gradients
