"""Quantiles of any number of values in little memory, mergeable: sparse bins of equal relative width.

The structure is DDSketch's (Masson, Rim and Lee 2019, arXiv:1908.10693), without its limit on the number
of bins: float32 values fill at most about 9,000.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

ACCURACY = 0.01  # relative error of a quantile
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_SMALLEST = 1e-38  # below: zero
TOGETHER = 4096
"""Numbers that may wait to be counted: together they take a tenth of the time that each would alone."""


class Bins:
    """Counts by bin.

    Args:
        pairs: Bin, count, bin, count, ...
    """

    def __init__(self, pairs: Sequence[int] = ()) -> None:
        self._counts: Counter[int] = Counter()
        self._waiting: list[int] = list(pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bins) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment] # it changes

    def add(self, pairs: Sequence[int]) -> None:
        """Adds counts, given as :meth:`pairs` gives them."""
        self._waiting += pairs
        if len(self._waiting) > TOGETHER:
            self._settle()

    @property
    def counts(self) -> Counter[int]:
        """The count of each bin that has any."""
        if self._waiting:
            self._settle()
        return self._counts

    def pairs(self) -> list[int]:
        """Bin, count, bin, count, ..., bins ascending."""
        return list(chain.from_iterable(sorted(self.counts.items())))

    def _settle(self) -> None:
        bins, counts = np.array(self._waiting, np.int64).reshape(-1, 2).T
        self._waiting = []
        first = bins.min()
        sums = np.bincount(bins - first, counts).astype(np.int64)  # float64 on the way: exact up to 2**53
        found = np.flatnonzero(sums)
        self._counts.update(dict(zip((found + first).tolist(), sums[found].tolist(), strict=True)))


@dataclass
class Sketch:
    """Counts of values per bin; bin k holds magnitudes in (gamma^(k-1), gamma^k].

    Attributes:
        positive: Count per bin of the values above zero.
        negative: Count per bin of the values below zero.
        zeros: Count of the others.
        undefined: Count of NaN and infinite values, which no quantile includes.
    """

    positive: Bins = field(default_factory=Bins)
    negative: Bins = field(default_factory=Bins)
    zeros: int = 0
    undefined: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> "Sketch":
        """The sketch of an array of any shape."""
        finite = values[np.isfinite(values)].astype(np.float64)
        above, below = finite[finite > _SMALLEST], -finite[finite < -_SMALLEST]
        zeros = finite.size - above.size - below.size
        return cls(_count(above), _count(below), zeros, values.size - finite.size)

    @property
    def count(self) -> int:
        """How many values the quantiles are of."""
        return self.positive.counts.total() + self.negative.counts.total() + self.zeros

    def merge(self, other: "Sketch") -> None:
        """Takes in the values of another sketch."""
        self.positive.add(other.positive.pairs())
        self.negative.add(other.negative.pairs())
        self.zeros += other.zeros
        self.undefined += other.undefined

    def add(self, stored: dict[str, Any]) -> None:
        """Takes in the values of the sketch that :meth:`to_json` described."""
        self.positive.add(stored["positive"])
        self.negative.add(stored["negative"])
        self.zeros += stored["zeros"]
        self.undefined += stored["undefined"]

    def quantile(self, q: float) -> float:
        """The q-quantile, q in [0, 1], linear between two values each within `ACCURACY`; NaN if there are none."""
        if not self.count:
            return float("nan")
        values, counts = zip(*self._ascending(), strict=True)
        rank = q * (self.count - 1)
        below = math.floor(rank)
        places = np.searchsorted(np.cumsum(counts), [below, math.ceil(rank)], side="right")
        lower, upper = (values[place] for place in places)
        return float(lower + (rank - below) * (upper - lower))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists, for :meth:`from_json`; bin, count, bin, count, ..."""
        return {
            "accuracy": ACCURACY,
            "positive": self.positive.pairs(),
            "negative": self.negative.pairs(),
            "zeros": self.zeros,
            "undefined": self.undefined,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Sketch":
        """The sketch that :meth:`to_json` described."""
        sketch = cls()
        sketch.add(stored)
        return sketch

    def _ascending(self) -> Iterator[tuple[float, int]]:
        below, above = self.negative.counts, self.positive.counts
        yield from ((-_middle(key), below[key]) for key in sorted(below, reverse=True))
        if self.zeros:
            yield 0.0, self.zeros
        yield from ((_middle(key), above[key]) for key in sorted(above))


def _count(magnitudes: np.ndarray) -> Bins:
    keys, counts = np.unique(np.ceil(np.log(magnitudes) / np.log(_GAMMA)).astype(int), return_counts=True)
    return Bins(np.stack([keys, counts], 1).ravel().tolist())


def _middle(key: int) -> float:
    """The value whose relative distance to both ends of the bin is the accuracy."""
    return float(2 * _GAMMA**key / (_GAMMA + 1))
