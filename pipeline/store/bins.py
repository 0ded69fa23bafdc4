"""Counts by bin, to which very many are added."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

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
