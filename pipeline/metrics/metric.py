"""What every metric is: scores of maps that can be compared with those of maps without a thought."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from pipeline.metrics.case import Case


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
class Measured:
    """What a metric found for M maps of each of N images.

    Attributes:
        scores: (M, N) for each of the metric's scores, NaN where it is undefined.
        curves: (M, N, S) under names of scores: what they are the summary of.
    """

    scores: dict[str, Tensor]
    curves: dict[str, Tensor] = field(default_factory=dict)


class Metric(ABC):
    """Judges maps of a batch of images, each image by itself."""

    title: ClassVar[str]
    source: ClassVar[str]
    """The paper, and the equation or section."""
    scores: ClassVar[Mapping[str, Score]]
    axis: ClassVar[str] = ""
    """What the curves run over."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """What exactly is done, in words: without them no two numbers can be compared."""

    @property
    def positions(self) -> list[float]:
        """Where the curves have their values along ``axis``."""
        return []

    @abstractmethod
    def measure(self, case: Case, maps: Tensor) -> Measured:
        """Scores of each kind of map of each image.

        Args:
            case: N images and the network.
            maps: (M, N, H, W), summed over channels. The first kind is the run's own, the others are the controls.
        """


def whole(option: str, value: object, lowest: int = 1) -> int:
    """An option that is a whole number.

    Raises:
        ValueError: If it is none, or below the lowest.
    """
    if type(value) is not int or value < lowest:
        raise ValueError(f"{option} must be a whole number from {lowest}, not {value!r}")
    return value


def positive(option: str, value: object) -> float:
    """An option that is a number above 0.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{option} must be a number above 0, not {value!r}")
    return float(value)
