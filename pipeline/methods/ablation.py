"""Feature ablation: how much the output drops when a segment of the image is absent."""

import torch
from torch import Tensor, nn

from pipeline.engine.incremental.evaluator import IncrementalEvaluator
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.segments import segments_of
from pipeline.view import View


class FeatureAblation(Method):
    """F(x) - F(x with a feature at the baseline), for every pixel of the feature.

    Args:
        model: A network in eval mode, or a view of one.
        feature_mask: See :func:`~pipeline.methods.segments.segments_of`.
        n_segments: About how many features ``grid`` and ``slic`` make.
        compactness: Of the features of ``slic``.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Ablated images in one pass of the network; None finds the fastest.

    Raises:
        ValueError: If an option is out of range; that a mask fits the images is checked when they come.
        MissingExtra: If ``slic`` is asked for and scikit-image not installed.
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
        starts = self.baselines(images, seeds)
        masks, counts = _numbered(self.segments(images).expand(len(images), -1, -1, -1))
        firsts = counts.cumsum(0) - counts  # of each image's features in the line
        image = torch.repeat_interleave(counts)
        feature = torch.arange(len(image), device=images.device) - firsts[image]
        absent = starts.expand_as(images)
        engine = self.view.occluded.incremental(
            images, absent, around(masks[0], int(counts[0])), self.internal_batch_size
        )
        if engine is None:
            values = self._asked_whole(images, absent, targets, (masks, image, feature))
        else:
            parts = zip(images.split(1), absent.split(1), targets, masks, counts.tolist(), strict=True)
            values = torch.cat([self._recomputed(engine, *part) for part in parts])
        drops = (scores[image] - values)[firsts[:, None, None, None] + masks]  # (N, 1 or C, H, W, T)
        maps = drops.movedim(-1, 1).expand(*targets.shape, *images.shape[1:])
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(maps, self.scores(starts, targets), undefined, evaluations=counts + 2)

    def _recomputed(
        self, engine: IncrementalEvaluator, image: Tensor, start: Tensor, targets: Tensor, mask: Tensor, count: int
    ) -> Tensor:
        """(count, T): F of an image (1, C, H, W), for targets (T,), without each feature of its mask (1 or C, H, W)."""
        self.evaluator.check()
        features = mask.flatten(1).t()

        def inside(window: Tensor, position: Tensor) -> Tensor:
            return features[position] == window[:, None]

        logits = engine.values(image, start, around(mask, count), inside)
        return self.view.outputs(logits.reshape(count, -1))[:, targets]

    def _asked_whole(
        self, images: Tensor, starts: Tensor, targets: Tensor, line: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """(pairs, T): F of the images with each of their features absent.

        Args:
            images: (N, C, H, W).
            starts: Baselines, (N, C, H, W).
            targets: (N, T).
            line: Masks (N, 1 or C, H, W), and the image and feature (pairs,) of each pair.
        """
        masks, images_of, features_of = line
        values = images.new_empty(len(images_of), targets.shape[1])

        def evaluate_chunk(start: int, stop: int) -> None:
            image, feature = images_of[start:stop], features_of[start:stop]
            absent = masks[image] == feature[:, None, None, None]
            values[start:stop] = self.view.values(torch.where(absent, starts[image], images[image]), targets[image])

        self.evaluator.evaluate(len(values), evaluate_chunk)
        return values


def around(mask: Tensor, count: int) -> Tensor:
    """Top, left, bottom and right (count, 4), on the CPU, of the features 0, 1, ... of a mask (1 or C, H, W)."""
    features = mask.flatten().cpu()
    sides = []
    for axis in (1, 2):
        shape = [-1 if other == axis else 1 for other in range(3)]
        place = torch.arange(mask.shape[axis]).reshape(shape).expand(mask.shape).flatten()
        empty = torch.zeros(count, dtype=torch.int64)
        first, last = (empty.scatter_reduce(0, features, place, end, include_self=False) for end in ("amin", "amax"))
        sides.append((first, last + 1))
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)


def _numbered(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (N, ...) with the features of each image numbered from 0 without a gap, and how many there are (N,)."""
    numbered = [mask.unique(return_inverse=True)[1] for mask in masks]
    return torch.stack(numbered), torch.stack([mask.max() + 1 for mask in numbered])
