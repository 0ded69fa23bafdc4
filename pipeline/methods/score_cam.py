"""Score-CAM: feature maps of a layer, weighted by the output for the image masked with each."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.engine.network.hooks import output_as_leaf
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.grad_cam import LayerGradCam
from pipeline.methods.method import Attribution
from pipeline.view import View


class ScoreCam(LayerGradCam):
    """Sum over a layer's channels, each weighted by the output for the image masked with it.

    Wang et al. 2020, "Score-CAM" (arXiv 1910.01279), algorithm 1: a channel, interpolated bilinearly to the image's
    size and scaled to [0, 1] by its own minimum and maximum, is the mask m of one point b + m * (x - b); the weights
    are the softmax over the channels of F(point) - F(b). In the paper, and by default, b = 0. A constant channel, which
    the paper leaves undefined, masks all of the image. No gradient is computed.

    Args:
        model: A network in eval mode, or a view of one.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        baselines: Values of masked pixels, see :func:`~pipeline.methods.baselines.baselines_of`.
        relu_attributions: Keep the positive part only, as the paper does.
        interpolate_mode: Of the map, from the layer's grid to pixels: ``nearest`` or ``bilinear``.
        internal_batch_size: Masked images in one forward pass; None finds the fastest.

    Raises:
        ValueError: As :class:`~pipeline.methods.grad_cam.LayerGradCam`.
    """

    reads_scores: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module | View,
        *,
        layer: str | nn.Module,
        baselines: BaselineLike = 0,
        relu_attributions: bool = True,
        interpolate_mode: str = "nearest",
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(
            model if isinstance(model, View) else View(model, prepare=True),
            layer=layer,
            relu_attributions=relu_attributions,
            interpolate_mode=interpolate_mode,
            internal_batch_size=internal_batch_size,
        )
        self.baselines = baselines_of(baselines, self.view.preprocessing)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        baselines = self.baselines(images, seeds)
        activation = self._activation(images)
        values = self._masked_values(images, baselines.expand_as(images), targets, activation)
        weights = values.softmax(1)  # F(b), the same for all channels, cancels in the softmax
        maps = torch.einsum("nkt,nkhw->nthw", weights, activation)[:, :, None]
        return Attribution(
            maps.relu() if self.relu_attributions else maps,
            self.scores(baselines, targets),
            torch.full_like(scores, torch.nan),
            evaluations=activation.shape[1] + 2,  # the image and its baseline
        )

    def _activation(self, images: Tensor) -> Tensor:
        """Evaluate the layer's feature maps (N, K, h, w)."""
        chunks: list[Tensor] = []

        def evaluate_chunk(start: int, stop: int) -> None:
            with torch.no_grad(), output_as_leaf(self.layer) as outputs:
                self.view.logits(images[start:stop])
            chunks.append(self._feature_maps(self._single_output(outputs, stop - start).detach(), images.shape[2:]))

        self._image_evaluator.evaluate(len(images), evaluate_chunk)
        return torch.cat(chunks)

    def _masked_values(self, images: Tensor, baselines: Tensor, targets: Tensor, activation: Tensor) -> Tensor:
        """Evaluate every image masked with each of its channels: (N, K, T)."""
        count = activation.shape[1]
        values = images.new_empty(len(images) * count, targets.shape[1])

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=images.device)
            image, channel = pairs // count, pairs % count
            masks = _masks(activation[image, channel][:, None], images.shape[2:])
            values[start:stop] = self.view.values(torch.lerp(baselines[image], images[image], masks), targets[image])

        self.evaluator.evaluate(len(values), evaluate_chunk)
        return values.reshape(len(images), count, -1)


def _masks(channels: Tensor, image: tuple[int, ...]) -> Tensor:
    """Scale channels (P, 1, h, w) to masks (P, 1, H, W) in [0, 1]; a constant channel gives a mask of 0."""
    fine = interpolate(channels, image, mode="bilinear")
    lowest, highest = fine.amin((2, 3), keepdim=True), fine.amax((2, 3), keepdim=True)
    return (fine - lowest) / torch.where(highest > lowest, highest - lowest, 1)
