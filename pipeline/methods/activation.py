"""Layer activation: a layer's output, without any attribution."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.method import Attribution, Method
from pipeline.view import View


class Activation(Method):
    """The layer's activation for the image, whatever the target.

    Args:
        model: A :class:`~pipeline.view.LayerView` of a network.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If ``model`` is no view of a layer.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("layer",)
    reads_scores: ClassVar[bool] = False

    def __init__(self, model: nn.Module | View, *, internal_batch_size: int | None = None) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        (values,) = self.in_chunks(len(images), lambda part: (self.view.gradient_inputs(images[part]).values,))
        maps = values[:, None].expand(*targets.shape, *values.shape[1:])
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(maps, undefined, undefined, evaluations=1)
