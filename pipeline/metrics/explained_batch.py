"""A batch of explanations and the network behind them: the input of every metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.models.output_space import OutputSpace
from pipeline.view import View

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits (p, K) and targets (p,) -> one score for each point (p,)."""


class StoredExplanation(Protocol):
    """Fields of a stored explanation that metrics read; see :class:`pipeline.store.explanation.Explanation`."""

    @property
    def map(self) -> np.ndarray: ...
    @property
    def path(self) -> Path: ...
    @property
    def label(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def class_name(self) -> str: ...
    @property
    def crop(self) -> tuple[int, int, int, int, int, int]: ...
    @property
    def score(self) -> float: ...
    @property
    def baseline_score(self) -> float: ...
    @property
    def convergence_delta(self) -> float: ...


@dataclass(frozen=True)
class ExplainedBatch:
    """A batch of explanations, with the network and the method that gave them.

    Attributes:
        images: (N, C, H, W), preprocessed.
        targets: (N,) int64, outputs explained.
        seeds: (N,) int64, one for each image, so that no draw depends on the batch.
        view: What is explained, around the network.
        evaluator: Splits the points into chunks.
        explain: Images (N, C, H, W) -> maps (N, H, W) of the same targets, by the run's method.
        stored: The store's record of each explanation.
    """

    images: Tensor
    targets: Tensor
    seeds: Tensor
    view: View
    evaluator: ChunkedEvaluator
    explain: Callable[[Tensor], Tensor]
    stored: Sequence[StoredExplanation]

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.view.model

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The network's own."""
        return self.view.preprocessing

    def evaluate(self, image: Tensor, points: Callable[[Tensor], Tensor], score: ScoreFunction) -> Tensor:
        """Evaluates the network at many points, in chunks.

        Args:
            image: (P,) int64, number of the image that each point belongs to.
            points: Numbers of points (p,) -> the points (p, C, H, W), made when their chunk is evaluated.
            score: Reduces the logits of a chunk to one score a point.

        Returns:
            (P,), at least float32.
        """
        exact = torch.promote_types(self.images.dtype, torch.float32)
        scores = self.images.new_empty(len(image), dtype=exact)

        def evaluate_chunk(start: int, stop: int) -> None:
            numbers = torch.arange(start, stop, device=image.device)
            logits = self.view.class_logits(points(numbers)).to(exact)
            scores[start:stop] = score(logits, self.targets[image[numbers]])

        with torch.no_grad():
            self.evaluator.evaluate(len(image), evaluate_chunk)
        return scores

    def explained(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The output that the run explains: logit, probability or its logarithm."""
        return gather_targets(self.view.outputs(logits), targets)

    def probability(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Probability of the target."""
        return gather_targets(self._output_space(logits).in_unit(logits, "probability"), targets)

    def winner(self, logits: Tensor, targets: Tensor) -> Tensor:
        """1 where the target's class is the prediction, else 0."""
        space = self._output_space(logits)
        return (space.predictions(logits) == space.classes_of(targets)).to(logits.dtype)

    def column(self, name: str) -> Tensor:
        """A stored number of each explanation, float64 (N,)."""
        values = {
            "score": [one.score for one in self.stored],
            "baseline_score": [one.baseline_score for one in self.stored],
            "convergence_delta": [one.convergence_delta for one in self.stored],
        }[name]
        return torch.tensor(values, dtype=torch.float64, device=self.images.device)

    def _output_space(self, logits: Tensor) -> OutputSpace:
        return OutputSpace(logits.shape[1], self.view.multi_label)


def gather_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """The target's output of each point: (p, K) and (p,) -> (p,)."""
    return outputs.gather(1, targets[:, None])[:, 0]
