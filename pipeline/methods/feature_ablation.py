"""Feature ablation: drop of the output when a segment of the image is replaced by the baseline."""

import torch
from torch import Tensor, nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.segments import segments_of
from pipeline.view import View


class FeatureAblation(Method):
    """F(x) - F(x with a feature replaced by the baseline), for every pixel of the feature.

    Args:
        model: A network in eval mode, or a view of one.
        feature_mask: See :func:`~pipeline.methods.segments.segments_of`.
        n_segments: Approximate number of features of ``grid`` and ``slic``.
        compactness: Of the superpixels of ``slic``.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Ablated images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range; when images are explained, if a mask does not fit them.
        MissingExtra: If ``slic`` is chosen and scikit-image not installed.
    """

    def __init__(
        self,
        model: nn.Module | View,
        *,
        feature_mask: str | Tensor = "grid",
        n_segments: int = 100,
        compactness: float = 10.0,
        baselines: BaselineLike = 0,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        self.internal_batch_size = internal_batch_size
        preprocessing = self.view.preprocessing
        self.segments = segments_of(feature_mask, preprocessing, n_segments=n_segments, compactness=compactness)
        self.baselines = baselines_of(baselines, preprocessing)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        baselines = self.baselines(images, seeds)
        everywhere = baselines.expand_as(images)
        masks, counts = _numbered(self.segments(images).expand(len(images), -1, -1, -1))
        firsts = counts.cumsum(0) - counts  # of each image's features in the sequence of (image, feature) pairs
        image = torch.repeat_interleave(counts)  # (pairs,): 0, 0, ..., 1, 1, ...
        feature = torch.arange(len(image), device=images.device) - firsts[image]  # (pairs,): 0, 1, ..., 0, 1, ...
        engine = self.view.occluded.incremental(
            images, everywhere, bounding_boxes(masks[0], int(counts[0])), self.internal_batch_size
        )
        if engine is None:
            values = self._evaluate_dense(images, everywhere, targets, (masks, image, feature))
        else:
            parts = zip(images.split(1), everywhere.split(1), targets, masks, counts.tolist(), strict=True)
            values = torch.cat([self._evaluate_incremental(engine, *part) for part in parts])
        drops = (scores[image] - values)[firsts[:, None, None, None] + masks]  # (N, 1 or C, H, W, T)
        maps = drops.movedim(-1, 1).expand(*targets.shape, *images.shape[1:])
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(maps, self.scores(baselines, targets), undefined, evaluations=counts + 2)

    def _evaluate_incremental(
        self, engine: IncrementalEvaluator, image: Tensor, baseline: Tensor, targets: Tensor, mask: Tensor, count: int
    ) -> Tensor:
        """Evaluate an image (1, C, H, W) without each feature of its mask (1 or C, H, W), for targets (T,).

        Returns:
            (count, T).
        """
        self.evaluator.check()
        features = mask.flatten(1).t()  # (H * W, 1 or C)

        def replaced_channels(window: Tensor, position: Tensor) -> Tensor:
            return features[position] == window[:, None]

        logits = engine.values(image, baseline, bounding_boxes(mask, count), replaced_channels)
        return self.view.outputs(logits.reshape(count, -1))[:, targets]

    def _evaluate_dense(
        self, images: Tensor, baselines: Tensor, targets: Tensor, pairs: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Evaluate the images with each of their features replaced by the baseline, all of every image: (pairs, T).

        Args:
            images: (N, C, H, W).
            baselines: (N, C, H, W).
            targets: (N, T).
            pairs: Masks (N, 1 or C, H, W), and the image and feature (pairs,) of each pair.
        """
        masks, images_of, features_of = pairs
        values = images.new_empty(len(images_of), targets.shape[1])

        def evaluate_chunk(start: int, stop: int) -> None:
            image, feature = images_of[start:stop], features_of[start:stop]
            absent = masks[image] == feature[:, None, None, None]
            values[start:stop] = self.view.values(torch.where(absent, baselines[image], images[image]), targets[image])

        self.evaluator.evaluate(len(values), evaluate_chunk)
        return values


def bounding_boxes(mask: Tensor, count: int) -> Tensor:
    """Top, left, bottom and right (count, 4), on the CPU, of the features 0, 1, ... of a mask (1 or C, H, W)."""
    features = mask.flatten().cpu()
    sides = []
    for axis in (1, 2):
        shape = [-1 if other == axis else 1 for other in range(3)]
        position = torch.arange(mask.shape[axis]).reshape(shape).expand(mask.shape).flatten()
        empty = torch.zeros(count, dtype=torch.int64)
        first, last = (
            empty.scatter_reduce(0, features, position, extreme, include_self=False) for extreme in ("amin", "amax")
        )
        sides.append((first, last + 1))
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)


def _numbered(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber each image's features in masks (N, ...) from 0 without a gap, and count them (N,)."""
    numbered = [mask.unique(return_inverse=True)[1] for mask in masks]
    return torch.stack(numbered), torch.stack([mask.max() + 1 for mask in numbered])
