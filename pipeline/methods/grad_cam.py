"""Class activation maps (Grad-CAM and kin): feature maps of a layer, weighted by the gradient."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.activation_layout import channels_first
from pipeline.engine.geometry import Geometry, Grid
from pipeline.engine.network.hooks import find_layer, output_as_leaf
from pipeline.methods.guided_backprop import GuidedBackprop
from pipeline.methods.method import Attribution, Method
from pipeline.view import View


class LayerGradCam(Method):
    """Sum over a layer's channels, each weighted by the mean of the gradient over it.

    Selvaraju et al. 2017, "Grad-CAM" (arXiv 1610.02391), equations 1 and 2; the ReLU of the latter is an option, as in
    Captum. The map is stored on the layer's grid and interpolated when it is read. A transformer's tokens are arranged
    as in the image (:func:`~pipeline.engine.activation_layout.channels_first`). Where only the class token is read
    after the last block, the patches get no gradient there: choose a layer before the last attention, such as its
    ``ln_1``.

    Args:
        model: A network in eval mode, or a view of one.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        relu_attributions: Keep the positive part only.
        interpolate_mode: From the layer's grid to pixels: ``nearest`` or ``bilinear``.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If the network has no such layer. Later, if ``interpolate_mode`` is neither of the two, if the layer
            does not run exactly once, or if its output has no positions in the image.
    """

    reads_scores: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module | View,
        *,
        layer: str | nn.Module,
        relu_attributions: bool = False,
        interpolate_mode: str = "nearest",
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)
        self.name, self.layer = find_layer(self.view.model, layer)
        self.relu_attributions, self.interpolate_mode = relu_attributions, interpolate_mode
        self._grids: dict[tuple[int, int, int], Grid] = {}

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Grid:
        if shape not in self._grids:
            with output_as_leaf(self.layer) as outputs:
                self.view.probe(shape)
            height, width = self._feature_maps(self._single_output(outputs, 1), shape[1:]).shape[2:]
            self._grids[shape] = Grid(shape, (height, width), self.interpolate_mode)
        return self._grids[shape]

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        maps: list[Tensor] = []

        def evaluate_chunk(start: int, stop: int) -> None:
            activation, gradients = self._activation_and_gradients(images[start:stop], targets[start:stop])
            activation = self._feature_maps(activation, images.shape[2:])[:, None]  # (P, 1, K, h, w)
            gradients = self._feature_maps(gradients.flatten(0, 1), images.shape[2:]).unflatten(0, gradients.shape[:2])
            weighted = (self._weights(activation, gradients) * activation).sum(2, keepdim=True)  # (P, T, 1, h, w)
            maps.append(weighted.relu() if self.relu_attributions else weighted)

        self.evaluator.evaluate(len(images), evaluate_chunk)
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(torch.cat(maps), undefined, undefined, evaluations=1)

    def _weights(self, activation: Tensor, gradients: Tensor) -> Tensor:
        """Weight each channel, (P, T, K, 1, 1), by its values (P, 1, K, h, w) and gradients (P, T, K, h, w)."""
        return gradients.mean((3, 4), keepdim=True)

    def _activation_and_gradients(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the layer's activation (P, ...) and its gradients (P, T, ...), in the layer's own layout."""
        with torch.enable_grad(), output_as_leaf(self.layer) as outputs:
            values = self.view.outputs(self.view.logits(images)).gather(1, targets)
        activation = self._single_output(outputs, len(images))
        if not values.requires_grad:
            raise ValueError(f"layer: the network's outputs do not depend on {self.name}")
        last = targets.shape[1] - 1
        gradients = [
            torch.autograd.grad(values[:, t].sum(), activation, retain_graph=t < last, materialize_grads=True)[0]
            for t in range(last + 1)
        ]
        return activation.detach(), torch.stack(gradients, 1)

    def _single_output(self, outputs: list[Tensor], images: int) -> Tensor:
        """Return the layer's only output in a forward pass of some images."""
        if len(outputs) != 1:
            raise ValueError(f"layer: {self.name} runs {len(outputs)} times for one image; choose one that runs once")
        if len(outputs[0]) != images:
            raise ValueError(
                f"layer: {self.name} cuts the image into windows, {len(outputs[0])} outputs for a batch of {images}; "
                "choose the layer around it"
            )
        return outputs[0]

    def _feature_maps(self, values: Tensor, image: tuple[int, ...]) -> Tensor:
        """Arrange values (n, ...) of the layer as (n, K, h, w)."""
        return channels_first(tuple(values.shape), (image[0], image[1]))(values)


class GradCamPlusPlus(LayerGradCam):
    """Grad-CAM with channel weights from positive gradients, each position weighted by its higher derivatives.

    Chattopadhyay et al. 2018, "Grad-CAM++" (arXiv 1710.11063), equations 5 and 19, for Y = exp(S), whose factor exp(S),
    the same for the whole map, is left out. With g the gradient and A the activation of a channel, the weight of the
    channel is the sum over its positions of relu(g) * g^2 / (2 g^2 + sum(A) g^3), which is relu(g) / (2 + sum(A) g).

    Args:
        model: A network in eval mode, or a view of one.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        relu_attributions: Keep the positive part only, as the paper does.
        interpolate_mode: From the layer's grid to pixels: ``nearest`` or ``bilinear``.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: As :class:`LayerGradCam`.
    """

    def __init__(
        self,
        model: nn.Module | View,
        *,
        layer: str | nn.Module,
        relu_attributions: bool = True,
        interpolate_mode: str = "nearest",
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(
            model,
            layer=layer,
            relu_attributions=relu_attributions,
            interpolate_mode=interpolate_mode,
            internal_batch_size=internal_batch_size,
        )

    def _weights(self, activation: Tensor, gradients: Tensor) -> Tensor:
        total = activation.sum((3, 4), keepdim=True)
        return (gradients.relu() / (2 + total * gradients)).sum((3, 4), keepdim=True)


class GuidedGradCam(Method):
    """Guided backpropagation times the positive part of Grad-CAM, interpolated to the image's pixels.

    Selvaraju et al. 2017, "Grad-CAM" (arXiv 1610.02391), section 3.2, which interpolates bilinearly.

    Args:
        model: A network in eval mode, or a view of one.
        layer: Of Grad-CAM: a dotted name such as ``layer3.1.conv2``, or the module.
        interpolate_mode: From the layer's grid to pixels: ``nearest`` or ``bilinear``.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: As :class:`LayerGradCam` and :class:`~pipeline.methods.guided_backprop.GuidedBackprop`.
    """

    reads_scores: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module | View,
        *,
        layer: str | nn.Module,
        interpolate_mode: str = "nearest",
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)
        self.guided = GuidedBackprop(self.view, internal_batch_size=internal_batch_size)
        self.cam = LayerGradCam(
            self.view,
            layer=layer,
            relu_attributions=True,
            interpolate_mode=interpolate_mode,
            internal_batch_size=internal_batch_size,
        )

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        self.cam.geometry(shape)
        return self.guided.geometry(shape, channels)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        guided = self.guided.explain(images, targets, scores=scores, seeds=seeds)
        coarse = self.cam.explain(images, targets, scores=scores, seeds=seeds).maps
        channels, height, width = images.shape[1:]
        fine = self.cam.geometry((channels, height, width)).expand(coarse.flatten(0, 1)).unflatten(0, targets.shape)
        return Attribution(guided.maps * fine, guided.baseline_score, guided.convergence_delta, evaluations=2)
