"""Base class of the attribution methods: points near an image, evaluated in chunks, summed with weights."""

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
    """Attribution maps of N images for T targets each.

    Attributes:
        maps: (N, T, *native), see :mod:`pipeline.engine.geometry`.
        baseline_score: (N, T) F(baseline); NaN where the method has no baseline.
        convergence_delta: (N, T) sum(map) - (F(x) - F(baseline)); NaN where the method does not promise completeness.
        evaluations: Points at which the model is evaluated for each image; int64 (N,) where images differ.
        error_estimate: (N, T), estimated relative error of the maps (L2), which few true errors exceed; None where the
            method makes no estimate.
    """

    maps: Tensor
    baseline_score: Tensor
    convergence_delta: Tensor
    evaluations: int | Tensor
    error_estimate: Tensor | None = None


class Method(ABC):
    """Attribution method: explains outputs of a model, image by image.

    Args:
        model: A network in eval mode, or a :class:`~pipeline.view.View` of one.
        internal_batch_size: Points in one forward pass; None finds the fastest.
        prepare: Make a faster copy of a network first; of a view, its own option decides.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input",)
    """Spaces in which it has maps: ``input``, ``layer`` or both."""
    reads_scores: ClassVar[bool] = True
    """True if the map depends on the values of ``scores``; otherwise the caller need not evaluate them."""

    def __init__(
        self, model: nn.Module | View, *, internal_batch_size: int | None = None, prepare: bool = False
    ) -> None:
        self.view = model if isinstance(model, View) else View(model, prepare=prepare)
        if self.view.explains not in self.attributes_to:
            raise ValueError(
                f"{type(self).__name__} gives maps of the {' or '.join(self.attributes_to)}, not of the "
                f"{self.view.explains}: choose view={self.attributes_to[0]} or another method"
            )
        self.evaluator = ChunkedEvaluator(internal_batch_size, device=lambda: self.view.device)
        self._image_evaluator = ChunkedEvaluator(internal_batch_size, device=lambda: self.view.device)
        self._geometries: dict[Shape, tuple[int, Geometry]] = {}  # number of the network's outputs, geometry of maps

    def chunked_evaluators(self) -> list[ChunkedEvaluator]:
        """Return its own evaluators, then those of the methods nested in its attributes, always in the same order."""
        nested_methods = [value for value in vars(self).values() if isinstance(value, Method)]
        nested = [evaluator for method in nested_methods for evaluator in method.chunked_evaluators()]
        return [self.evaluator, self._image_evaluator, *nested]

    def on_chunk(self, check: Callable[[], None]) -> None:
        """Call ``check`` before every chunk that this or a nested method evaluates; what it raises ends the work."""
        for evaluator in self.chunked_evaluators():
            evaluator.check = check

    @abstractmethod
    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        """Compute maps in their native geometry.

        Args:
            images: (N, C, H, W), preprocessed.
            targets: (N, T) int64, classes.
            scores: (N, T), F(images) of the targets; any values if ``reads_scores`` is false.
            seeds: (N,) int64, each image's own, from which random methods draw.
        """

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        """Return the native geometry of the maps of images of (C, H, W).

        Raises:
            ValueError: If the method's options do not fit such images.
        """
        return self.view.geometry(shape, channels)

    def __call__(self, images: Tensor, target: Target = None, *, seed: int = 0) -> Tensor:
        """Compute maps of the images' size.

        Args:
            images: (N, C, H, W), preprocessed.
            target: The class to explain: an int for all, or one for each image; None for models with one output.
            seed: For random methods; image i draws from (seed, i).

        Returns:
            (N, C, H, W), or over a :class:`~pipeline.view.LayerView` the layer's shape (N, *).

        Raises:
            ValueError: If the target does not fit the images or the model's outputs.
        """
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W), not {tuple(images.shape)}")
        channels, height, width = images.shape[1:]
        shape = (channels, height, width)
        evaluates_outputs = self.reads_scores or shape not in self._geometries
        outputs = self.view.outputs(self.logits(images)) if evaluates_outputs else images.new_empty(len(images), 0)
        if shape not in self._geometries:
            self._geometries[shape] = outputs.shape[1], self.geometry(shape)
        classes, geometry = self._geometries[shape]
        targets = _one_target_each(target, len(images), classes).to(images.device)
        scores = outputs.gather(1, targets) if evaluates_outputs else images.new_full(targets.shape, torch.nan)
        seeds = image_seeds(seed, range(len(images)))
        maps = self.explain(images, targets, scores=scores, seeds=seeds).maps[:, 0]
        return maps if self.view.explains == "layer" else geometry.expand(maps)

    def logits(self, images: Tensor) -> Tensor:
        """Evaluate the logits (N, K) of images (N, C, H, W) in chunks."""
        with torch.no_grad():
            return self.in_chunks(len(images), lambda part: (self.view.logits(images[part]),))[0]

    def in_chunks(self, rows: int, evaluate_chunk: Callable[[slice], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Evaluate slices that cover ``rows``, and concatenate each of the tensors that they give."""
        chunks: list[tuple[Tensor, ...]] = []
        self._image_evaluator.evaluate(rows, lambda start, stop: chunks.append(evaluate_chunk(slice(start, stop))))
        return tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))

    def scores(self, points: Tensor, targets: Tensor) -> Tensor:
        """Evaluate the targets (N, T) at points (N, C, H, W), or at (1, C, H, W) once for all images: (N, T)."""
        return self.view.outputs(self.logits(points)).expand(len(targets), -1).gather(1, targets)


def image_seeds(seed: int, numbers: Iterable[int]) -> Tensor:
    """Derive seeds, int64 (N,), each from (seed, image number) alone: the same on any worker, in any batch."""
    digests = [sha256(f"{seed} {number}".encode()).digest() for number in numbers]
    return torch.tensor([int.from_bytes(digest[:7]) for digest in digests], dtype=torch.int64)  # 56 bits: never < 0


def _one_target_each(target: Target, count: int, classes: int) -> Tensor:
    """Normalise any form of ``target`` to (N, 1) int64."""
    if target is None and classes > 1:
        raise ValueError(f"target: the model has {classes} outputs; say which class to explain")
    targets = torch.as_tensor(0 if target is None else target).reshape(-1, 1)
    if targets.is_floating_point() or len(targets) not in (1, count):
        raise ValueError(f"target: expected an integer or {count} of them, got {target!r}")
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(f"target: classes go from 0 to {classes - 1}, got {target!r}")
    return targets.long().expand(count, 1)
