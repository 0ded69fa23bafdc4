"""Quantile sketches: quantiles of any number of values in little memory, mergeable, to a fixed relative error.

The structure is DDSketch (Masson, Rim and Lee 2019, arXiv:1908.10693): a sparse histogram with bins of equal relative
width. Its limit on the number of bins is left out: float32 values fill at most about 9,000.
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
MAX_WAITING = 4096
"""Bins and counts that are collected before NumPy adds them up: a tenth of the time of adding them one by one."""


class Bins:
    """Sparse histogram: a count for each bin that has any.

    Args:
        pairs: Bin, count, bin, count, ...
    """

    def __init__(self, pairs: Sequence[int] = ()) -> None:
        self._counts: Counter[int] = Counter()
        self._waiting: list[int] = list(pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bins) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment] # mutable

    def add(self, pairs: Sequence[int]) -> None:
        """Add counts, in the format of :meth:`pairs`."""
        self._waiting += pairs
        if len(self._waiting) > MAX_WAITING:
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
        filled = np.flatnonzero(sums)
        self._counts.update(dict(zip((filled + first).tolist(), sums[filled].tolist(), strict=True)))


@dataclass
class Sketch:
    """Counts of values per bin; bin k has the magnitudes in (gamma^(k-1), gamma^k].

    Attributes:
        positive: Count per bin of the values above zero.
        negative: Count per bin of the values below zero.
        zeros: Count of the others.
        undefined: Count of NaN and infinite values, which the quantiles leave out.
    """

    positive: Bins = field(default_factory=Bins)
    negative: Bins = field(default_factory=Bins)
    zeros: int = 0
    undefined: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> "Sketch":
        """Sketch an array of any shape."""
        finite = values[np.isfinite(values)].astype(np.float64)
        above, below = finite[finite > _SMALLEST], -finite[finite < -_SMALLEST]
        zeros = finite.size - above.size - below.size
        return cls(_count(above), _count(below), zeros, values.size - finite.size)

    @property
    def count(self) -> int:
        """Number of values that the quantiles are of."""
        return self.positive.counts.total() + self.negative.counts.total() + self.zeros

    def merge(self, other: "Sketch") -> None:
        """Add the values of another sketch."""
        self.positive.add(other.positive.pairs())
        self.negative.add(other.negative.pairs())
        self.zeros += other.zeros
        self.undefined += other.undefined

    def add(self, stored: dict[str, Any]) -> None:
        """Add the values of a sketch in the format of :meth:`to_json`."""
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
        positions = np.searchsorted(np.cumsum(counts), [below, math.ceil(rank)], side="right")
        lower, upper = (values[position] for position in positions)
        return float(lower + (rank - below) * (upper - lower))

    def to_json(self) -> dict[str, Any]:
        """Convert to numbers and lists, for :meth:`from_json`; bins as bin, count, bin, count, ..."""
        return {
            "accuracy": ACCURACY,
            "positive": self.positive.pairs(),
            "negative": self.negative.pairs(),
            "zeros": self.zeros,
            "undefined": self.undefined,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Sketch":
        """Convert from the format of :meth:`to_json`."""
        sketch = cls()
        sketch.add(stored)
        return sketch

    def _ascending(self) -> Iterator[tuple[float, int]]:
        below, above = self.negative.counts, self.positive.counts
        yield from ((-_middle(number), below[number]) for number in sorted(below, reverse=True))
        if self.zeros:
            yield 0.0, self.zeros
        yield from ((_middle(number), above[number]) for number in sorted(above))


def _count(magnitudes: np.ndarray) -> Bins:
    bins, counts = np.unique(np.ceil(np.log(magnitudes) / np.log(_GAMMA)).astype(int), return_counts=True)
    return Bins(np.stack([bins, counts], 1).ravel().tolist())


def _middle(number: int) -> float:
    """Value in a bin whose relative distance to both of its ends is `ACCURACY`."""
    return float(2 * _GAMMA**number / (_GAMMA + 1))
