"""Images whose maps are judged, and the network that the maps explain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.view import View

Answer = Callable[[Tensor, Tensor], Tensor]
"""Logits (p, K) and targets (p,) -> what is asked for (p,)."""


class Stored(Protocol):
    """What the store says of an explanation; see :class:`pipeline.store.explanation.Explanation`."""

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
class Case:
    """A batch of explanations with all that judges them.

    Attributes:
        images: (N, C, H, W), preprocessed.
        targets: (N,) int64, classes explained.
        seeds: (N,) int64, each image's own.
        view: What was explained.
        multi_label: Probabilities by a sigmoid for each class instead of a softmax over classes.
        line: Cuts the points into passes of the network.
        explain: Images (N, C, H, W) -> maps (N, H, W) of the same targets, by the run's method.
        stored: What the store says of each explanation.
    """

    images: Tensor
    targets: Tensor
    seeds: Tensor
    view: View
    multi_label: bool
    evaluator: ChunkedEvaluator
    explain: Callable[[Tensor], Tensor]
    stored: Sequence[Stored]

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.view.model

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The network's own."""
        return self.view.preprocessing

    def evaluate(self, image: Tensor, points: Callable[[Tensor], Tensor], answer: Answer) -> Tensor:
        """Asks the network at many points, in chunks.

        Args:
            image: (P,) int64, which image each point belongs to.
            points: Numbers of points (p,) -> the points (p, C, H, W), made when they are asked.
            answer: What is wanted of the logits.

        Returns:
            (P,).
        """
        exact = torch.promote_types(self.images.dtype, torch.float32)
        answers = self.images.new_empty(len(image), dtype=exact)

        def evaluate_chunk(start: int, stop: int) -> None:
            numbers = torch.arange(start, stop, device=image.device)
            logits = self.view.class_logits(points(numbers)).to(exact)
            answers[start:stop] = answer(logits, self.targets[image[numbers]])

        with torch.no_grad():
            self.evaluator.evaluate(len(image), evaluate_chunk)
        return answers

    def explained(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The output that the run explains: logit, probability or its logarithm."""
        return of_target(self.view.outputs(logits), targets)

    def probability(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Probability of the target."""
        independent = self.multi_label or logits.shape[1] == 1
        return of_target(logits.sigmoid() if independent else logits.softmax(1), targets)

    def column(self, name: str) -> Tensor:
        """A number that the store has of each explanation, float64 (N,)."""
        values = {
            "score": [one.score for one in self.stored],
            "baseline_score": [one.baseline_score for one in self.stored],
            "convergence_delta": [one.convergence_delta for one in self.stored],
        }[name]
        return torch.tensor(values, dtype=torch.float64, device=self.images.device)


def of_target(outputs: Tensor, targets: Tensor) -> Tensor:
    """(p, K) and (p,) -> (p,)."""
    return outputs.gather(1, targets[:, None])[:, 0]


def winner(logits: Tensor, targets: Tensor) -> Tensor:
    """1 where the target is the class with the highest logit (of a single logit: where it is above 0), else 0."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).to(logits.dtype)
    return (logits.argmax(1) == targets).to(logits.dtype)
