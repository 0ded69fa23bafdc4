"""A class of a model as a function of a hidden layer's activation."""

from typing import Any, ClassVar

from torch import Tensor, nn

from pipeline.engine.geometry import Geometry, Units
from pipeline.engine.network.cut import CutNetwork
from pipeline.engine.occlusion_windows import Shape
from pipeline.view.view import GradientInputs, InChunks, StraightPath, View, as_logits, blank_image, unchanged


class LayerView(View):
    """Outputs of a model as functions of a layer's activation; maps have the layer's shape.

    Captum's layer methods are the methods for the input over this view. The network up to the layer runs once for each
    image, not for each point of a path in the layer. Activations that bypass the layer, such as a skip connection, keep
    their values at the image. The layer's baseline is its activation for the input's baseline.

    Args:
        model: As for :class:`View`.
        layer: A dotted name such as ``layer3.1.conv2``, or the module. Of a tuple, its first output is explained.
        prepare: Evaluate a faster copy of the model, which has the model's activation in the layer.
        options: As for :class:`View`.

    Raises:
        ValueError: If the network has no such layer. Later, if it does not run exactly once.
    """

    explains: ClassVar[str] = "layer"

    def __init__(self, model: nn.Module, *, layer: str | nn.Module, prepare: bool = False, **options: Any) -> None:
        super().__init__(model, prepare=prepare, **options)
        self._network = CutNetwork(model, layer, prepare=prepare)
        self.layer = self._network.name

    def gradient_inputs(self, points: Tensor) -> GradientInputs:
        cut = self._network.of(points)
        values, others = cut.enter(points)
        return GradientInputs(values, others, lambda *inputs: as_logits(cut.rest(*inputs)))

    def straight_path(self, images: Tensor, starts: Tensor, in_chunks: InChunks) -> StraightPath:
        cut = self._network.of(images)

        def enter(points: Tensor) -> tuple[Tensor, ...]:
            def evaluate_chunk(part: slice) -> tuple[Tensor, ...]:
                values, others = cut.enter(points[part])
                return values, *others

            return in_chunks(len(points), evaluate_chunk)

        (ends, *others), begins = enter(images), enter(starts)[0]

        def logits(points: Tensor, image: Tensor) -> Tensor:
            return as_logits(cut.rest(points, *(other[image] for other in others)))

        return StraightPath(begins.expand_as(ends), ends, ends - begins, logits, unchanged)

    def geometry(self, shape: Shape, channels: str) -> Geometry:
        values = self.gradient_inputs(blank_image(self.model, shape)).values
        return Units(shape, tuple(values.shape[1:]), channels)
