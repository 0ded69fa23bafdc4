"""A hidden neuron of a model as a function of its input."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Geometry
from pipeline.engine.network.hooks import find_layer
from pipeline.engine.network.truncated import NeuronIndex, NeuronNetwork
from pipeline.engine.occlusion_windows import Shape
from pipeline.view.view import View


class NeuronView(View):
    """The value of a hidden neuron as a function of the input pixels; the network after its layer does not run.

    Captum's neuron methods are the methods for a class over this view, which has one output and needs no target.

    Args:
        model: As for :class:`View`.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        neuron: Its index in the layer's activation for an image, such as [3, 4, 5] in (K, h, w); None along an axis is
            the sum over it.
        options: As for :class:`View`.

    Raises:
        ValueError: If the network has no such layer, a neuron has no ``output`` but its value, or ``neuron`` is no list
            of whole numbers. Later, if it does not fit the layer's activation.
    """

    explains_class: ClassVar[bool] = False

    def __init__(self, model: nn.Module, *, layer: str | nn.Module, neuron: int | NeuronIndex, **options: Any) -> None:
        self.layer, _ = find_layer(model, layer)
        self.neuron = _index(neuron)
        network = NeuronNetwork(model, self.layer, self.neuron)
        super().__init__(network, **options)
        if self.output != "logit":
            raise ValueError(f"output={self.output}: a neuron has a value and no probability; leave output=logit")
        self._classifier, self._until_layer = View(model, **options), network.until_layer
        self._fits = False

    def logits(self, points: Tensor) -> Tensor:
        if not self._fits:
            self._check(points[:1])
        return super().logits(points)

    def class_logits(self, points: Tensor) -> Tensor:
        return self._classifier.logits(points)

    def geometry(self, shape: Shape, channels: str) -> Geometry:
        self.probe(shape)
        return super().geometry(shape, channels)

    def _check(self, image: Tensor) -> None:
        """Raise a ValueError if ``neuron`` is no index in the layer's activation."""
        with torch.no_grad():
            shape = tuple(self._until_layer(image.clone()).shape[1:])
        fits = len(shape) == len(self.neuron) and all(
            index is None or -size <= index < size for index, size in zip(self.neuron, shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"neuron: {list(self.neuron)} is no index in the {shape} values that {self.layer} has for an image; "
                "give a number along each axis, or null for the sum over it"
            )
        self._fits = True


def _index(neuron: int | NeuronIndex) -> tuple[int | None, ...]:
    index = (neuron,) if isinstance(neuron, int) else neuron
    if not isinstance(index, Sequence) or not index or not all(one is None or type(one) is int for one in index):
        raise ValueError(f"neuron: a list of whole numbers such as [3,4,5], not {neuron!r}")
    return tuple(index)
