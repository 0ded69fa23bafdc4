"""Occlusion: drop of the output when a window of the image is replaced by the baseline."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.engine.incremental.schedule import ReplacedChannels
from pipeline.engine.occlusion_windows import Windows
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.view import View


class Occlusion(Method):
    """F(x) - F(x with a window replaced by the baseline), averaged over the windows that cover a pixel.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), section 4.2.

    Args:
        model: A network in eval mode, or a view of one.
        sliding_window_shapes: (channels, height, width) of the window.
        strides: Steps of the window along the same axes, or one for all. None: 1.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Occluded images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range; when images are explained, if a window does not fit them.
    """

    def __init__(
        self,
        model: nn.Module | View,
        *,
        sliding_window_shapes: Sequence[int],
        strides: int | Sequence[int] | None = None,
        baselines: BaselineLike = 0,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        self.window = _three("sliding_window_shapes", sliding_window_shapes)
        self.strides = _three("strides", 1 if strides is None else strides)
        self.baselines = baselines_of(baselines, self.view.preprocessing)
        self.internal_batch_size = internal_batch_size

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Windows:
        return Windows(shape, self.window, self.strides, channels)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        channels, height, width = images.shape[1:]
        windows = self.geometry((channels, height, width))
        baselines = self.baselines(images, seeds)
        baseline_score = self.scores(baselines, targets)
        occluded = self._occluded_values(images, baselines.expand_as(images), targets, windows.boxes())
        drops = (scores[:, None] - occluded).transpose(1, 2).unflatten(2, windows.native_shape)
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(drops, baseline_score, undefined, evaluations=occluded.shape[1] + 2)

    def _occluded_values(self, images: Tensor, baselines: Tensor, targets: Tensor, boxes: Tensor) -> Tensor:
        """Evaluate every image with every box (windows, 3, 2) replaced by the baseline: (N, windows, T)."""
        rectangles = boxes[:, 1:].transpose(1, 2).flatten(1)  # (windows, 4): top, left, bottom, right
        engine = self.view.occluded.incremental(images, baselines, rectangles, self.internal_batch_size)
        if engine is None:
            return self._evaluate_dense(images, baselines, targets, boxes.to(images.device))
        all_channels = self.window[0] >= images.shape[1]
        channels = None if all_channels else _channels_in(boxes[:, 0].to(images.device), images.shape[1])
        logits = engine.values(images, baselines, rectangles, channels, check=self.evaluator.check)  # (N, windows, K)
        outputs = self.view.outputs(logits.reshape(len(images) * len(boxes), -1)).view(len(images), len(boxes), -1)
        return outputs.gather(2, targets[:, None].expand(-1, len(boxes), -1))

    def _evaluate_dense(self, images: Tensor, baselines: Tensor, targets: Tensor, boxes: Tensor) -> Tensor:
        """Evaluate all of each occluded image: (N, windows, T)."""
        count = len(boxes)
        values = images.new_empty(len(images) * count, targets.shape[1])

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=images.device)
            image, window = pairs // count, pairs % count
            absent = _inside(boxes[window], images.shape[1:])
            points = torch.where(absent, baselines[image], images[image])
            values[start:stop] = self.view.values(points, targets[image])

        self.evaluator.evaluate(len(values), evaluate_chunk)
        return values.reshape(len(images), count, -1)


def _channels_in(ranges: Tensor, count: int) -> ReplacedChannels:
    """Mask of the channels that each window replaces, of ``count`` channels from first to last + 1 (windows, 2)."""

    def replaced_channels(window: Tensor, position: Tensor) -> Tensor:
        number = torch.arange(count, device=ranges.device)
        first, last = ranges[window].unsqueeze(2).unbind(1)  # (P, 1) each
        return (number >= first) & (number < last)

    return replaced_channels


def _inside(boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """Mask of the values of (C, H, W) that lie in each box (P, 3, 2): bool (P, C, H, W)."""
    inside = torch.ones((), dtype=torch.bool, device=boxes.device)
    for axis, size in enumerate(shape):
        positions = torch.arange(size, device=boxes.device)
        along = (positions >= boxes[:, axis, :1]) & (positions < boxes[:, axis, 1:])
        inside = inside & along.reshape([-1, *(size if other == axis else 1 for other in range(3))])
    return inside


def _three(option: str, value: int | Sequence[int]) -> tuple[int, int, int]:
    """Expand one number or three to (channels, height, width)."""
    sizes = [value] * 3 if isinstance(value, int) else list(value)
    if len(sizes) != 3 or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(f"{option} must be three whole numbers from 1 (channels, height, width), not {value!r}")
    return sizes[0], sizes[1], sizes[2]
