"""What every attribution method is: points near an image, weights, and a sum."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.engine.geometry import Geometry
from pipeline.engine.occlusion_windows import Shape
from pipeline.view import View

Target = int | Sequence[int] | Tensor | None


@dataclass(frozen=True)
class Attribution:
    """What a method gives for N images and T targets each.

    Attributes:
        maps: (N, T, *native), see :mod:`pipeline.engine.geometry`.
        baseline_score: (N, T) F(baseline); NaN where the method has no baseline.
        convergence_delta: (N, T) sum(map) - (F(x) - F(baseline)); NaN where the method does not promise completeness.
        evaluations: Points at which the model was asked for each image; int64 (N,) where images differ.
        error_estimate: (N, T) of the maps' relative error (L2), which few true errors exceed; None where the method
            makes no estimate.
    """

    maps: Tensor
    baseline_score: Tensor
    convergence_delta: Tensor
    evaluations: int | Tensor
    error_estimate: Tensor | None = None


class Method(ABC):
    """Explains outputs of a model, image by image.

    Args:
        model: A network in eval mode, or a :class:`~pipeline.view.View` of one.
        internal_batch_size: Points in one pass of the network; None finds the fastest.
        prepare: Make a faster copy of a network first; a view says so itself.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input",)
    """What its maps can be of: ``input``, ``layer`` or both."""
    reads_scores: ClassVar[bool] = True
    """Whether the map depends on the values of ``scores``; without it, who explains need not ask for them."""

    def __init__(
        self, model: nn.Module | View, *, internal_batch_size: int | None = None, prepare: bool = False
    ) -> None:
        self.view = model if isinstance(model, View) else View(model, prepare=prepare)
        if self.view.explains not in self.attributes_to:
            raise ValueError(
                f"{type(self).__name__} gives maps of the {' or '.join(self.attributes_to)}, not of the "
                f"{self.view.explains}: choose view={self.attributes_to[0]} or another method"
            )
        self.evaluator = ChunkedEvaluator(internal_batch_size)
        self._image_evaluator = ChunkedEvaluator(internal_batch_size)
        self._known: dict[Shape, tuple[int, Geometry]] = {}  # outputs of the network, geometry of maps

    def chunked_evaluators(self) -> list[ChunkedEvaluator]:
        """Its own evaluators, then those of the methods that it is made of, always in the same order."""
        parts = [part for part in vars(self).values() if isinstance(part, Method)]
        inner = [evaluator for part in parts for evaluator in part.chunked_evaluators()]
        return [self.evaluator, self._image_evaluator, *inner]

    def on_chunk(self, check: Callable[[], None]) -> None:
        """Has ``check`` called before every pass of the network; what it raises ends the work there."""
        for evaluator in self.chunked_evaluators():
            evaluator.check = check

    @abstractmethod
    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        """Maps in their native geometry.

        Args:
            images: (N, C, H, W), preprocessed.
            targets: (N, T) int64, classes.
            scores: (N, T), F(images) of the targets; anything if ``reads_scores`` is false.
            seeds: (N,) int64, each image's own, from which random methods draw.
        """

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        """The native geometry of the maps of images of (C, H, W).

        Raises:
            ValueError: If the method's options do not fit such images.
        """
        return self.view.geometry(shape, channels)

    def __call__(self, images: Tensor, target: Target = None, *, seed: int = 0) -> Tensor:
        """Maps of the images' size.

        Args:
            images: (N, C, H, W), preprocessed.
            target: The class to explain: an int for all, or one for each image; None for models with one output.
            seed: Of random methods; image i draws from (seed, i).

        Returns:
            (N, C, H, W), or over a :class:`~pipeline.view.LayerView` the layer's shape (N, *).

        Raises:
            ValueError: If the target does not fit the images or the model's outputs.
        """
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W), not {tuple(images.shape)}")
        channels, height, width = images.shape[1:]
        shape = (channels, height, width)
        asked = self.reads_scores or shape not in self._known
        outputs = self.view.outputs(self.logits(images)) if asked else images.new_empty(len(images), 0)
        if shape not in self._known:
            self._known[shape] = outputs.shape[1], self.geometry(shape)
        classes, geometry = self._known[shape]
        targets = _one_target_each(target, len(images), classes).to(images.device)
        scores = outputs.gather(1, targets) if asked else images.new_full(targets.shape, torch.nan)
        seeds = image_seeds(seed, range(len(images)))
        answer = self.explain(images, targets, scores=scores, seeds=seeds)
        return answer.maps[:, 0] if self.view.explains == "layer" else geometry.expand(answer.maps[:, 0])

    def logits(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K), in chunks."""
        with torch.no_grad():
            return self.in_chunks(len(images), lambda part: (self.view.logits(images[part]),))[0]

    def in_chunks(self, rows: int, answer: Callable[[slice], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What ``answer`` gives for slices that cover ``rows``, each tensor of it one after the other."""
        answers: list[tuple[Tensor, ...]] = []
        self._image_evaluator.evaluate(rows, lambda start, stop: answers.append(answer(slice(start, stop))))
        return tuple(torch.cat(parts) for parts in zip(*answers, strict=True))

    def scores(self, points: Tensor, targets: Tensor) -> Tensor:
        """Outputs of the targets (N, T) at points (N, C, H, W), or (1, C, H, W) evaluated once for all: (N, T)."""
        return self.view.outputs(self.logits(points)).expand(len(targets), -1).gather(1, targets)


def image_seeds(seed: int, numbers: Iterable[int]) -> Tensor:
    """A seed for each image, from (seed, image number) alone: the same on any worker, in any batch. int64 (N,)."""
    digests = [sha256(f"{seed} {number}".encode()).digest() for number in numbers]
    return torch.tensor([int.from_bytes(digest[:7]) for digest in digests], dtype=torch.int64)


def _one_target_each(target: Target, count: int, classes: int) -> Tensor:
    """(N, 1) int64 from any form of ``target``."""
    if target is None and classes > 1:
        raise ValueError(f"target: the model has {classes} outputs; say which class to explain")
    targets = torch.as_tensor(0 if target is None else target).reshape(-1, 1)
    if targets.is_floating_point() or len(targets) not in (1, count):
        raise ValueError(f"target: expected an integer or {count} of them, got {target!r}")
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(f"target: classes go from 0 to {classes - 1}, got {target!r}")
    return targets.long().expand(count, 1)
