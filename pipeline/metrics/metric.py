"""Interface of all metrics: scores of attribution maps, beside those of control maps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from pipeline.metrics.explained_batch import ExplainedBatch


@dataclass(frozen=True)
class Score:
    """A number that a metric gives each explanation.

    Attributes:
        meaning: What it is, with its unit.
        better: ``lower``, ``higher``, or ``neither`` where a number is no judgement.
    """

    meaning: str
    better: str


@dataclass(frozen=True)
class Measurement:
    """Result of a metric for M maps of each of N images.

    Attributes:
        scores: (M, N) for each of the metric's scores, NaN where it is undefined.
        curves: (M, N, S) under names of scores: the curve that the score summarises.
    """

    scores: dict[str, Tensor]
    curves: dict[str, Tensor] = field(default_factory=dict)


class Metric(ABC):
    """Scores maps of a batch of images, each image independently of the others."""

    title: ClassVar[str]
    source: ClassVar[str]
    """The paper, and the equation or section."""
    scores: ClassVar[Mapping[str, Score]]
    axis: ClassVar[str] = ""
    """Meaning of ``positions``."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Exact protocol as text, without which no two numbers can be compared.

        A stored result is reused only if its protocol is the same, letter for letter: other wording measures again.
        """

    @property
    def positions(self) -> list[float]:
        """Positions of the curves' values along ``axis``, (S,)."""
        return []

    @abstractmethod
    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        """Scores each kind of map of each image.

        Args:
            batch: N images and the network.
            maps: (M, N, H, W), summed over channels. The first kind is the run's own, the others are the controls.
        """


def whole_number(option: str, value: object, lowest: int = 1) -> int:
    """Return an option that is a whole number.

    Raises:
        ValueError: If it is none, or below the lowest.
    """
    if type(value) is not int or value < lowest:
        raise ValueError(f"{option} must be a whole number from {lowest}, not {value!r}")
    return value


def positive_number(option: str, value: object) -> float:
    """Return an option that is a number above 0.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{option} must be a number above 0, not {value!r}")
    return float(value)
