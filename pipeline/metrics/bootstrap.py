"""Bootstrap confidence intervals of means: percentiles of the means of resamples (Efron 1979)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
_BLOCK = 64
"""Resamples that are drawn together, to bound the memory."""


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds of its 95 % bootstrap interval.

    Attributes:
        mean: Of the sample.
        low: Lower bound.
        high: Upper bound.
    """

    mean: float
    low: float
    high: float


def bootstrap_intervals(rows: np.ndarray, *, resamples: int, seed: int) -> list[Interval | None]:
    """Mean and bootstrap interval of each row, over its defined values; None of a row without one.

    Columns are drawn with replacement, the same ones for all rows, so that the row of a difference is a paired sample.

    Args:
        rows: (k, n) float64, NaN where undefined.
        resamples: Number of resamples.
        seed: Of the draws.
    """
    defined = np.isfinite(rows)
    filled, count = np.where(defined, rows, 0), rows.shape[1]
    means, generator = [], np.random.default_rng(seed)
    for first in range(0, resamples, _BLOCK):
        # how often each column is drawn: the same resamples as by indices, but a mean is one matrix product
        weights = generator.multinomial(count, np.full(count, 1 / count), min(_BLOCK, resamples - first))
        sums, counts = (side.astype(np.float64) @ weights.T for side in (filled, defined))
        means.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    tails = (1 - CONFIDENCE) / 2
    return [
        Interval(float(row[known].mean()), *np.nanquantile(resampled, (tails, 1 - tails)).tolist())
        if known.any()
        else None
        for row, known, resampled in zip(rows, defined, np.concatenate(means, 1), strict=True)
    ]


def bootstrap_summary(values: dict[str, np.ndarray], *, resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Means of each kind of map with intervals, and of the paired differences of the first kind from the others.

    Args:
        values: (n,) float64 for each kind of map, the run's own first; NaN where undefined.
        resamples: Number of resamples.
        seed: Of the draws.

    Returns:
        Of each kind: mean, low, high, median, defined (a count); of the controls also ``difference``.
    """
    own, *controls = values.values()
    differences = [own - control for control in controls]
    intervals = bootstrap_intervals(np.stack([own, *controls, *differences]), resamples=resamples, seed=seed)
    statistics: dict[str, dict[str, Any]] = {
        kind: {**_plain(interval), "median": _median(row), "defined": int(np.isfinite(row).sum())}
        for (kind, row), interval in zip(values.items(), intervals, strict=False)
    }
    for kind, interval in zip(list(values)[1:], intervals[len(values) :], strict=True):
        statistics[kind]["difference"] = _plain(interval)
    return statistics


def _plain(interval: Interval | None) -> dict[str, float | None]:
    return dict.fromkeys(("mean", "low", "high")) if interval is None else asdict(interval)


def _median(row: np.ndarray) -> float | None:
    known = row[np.isfinite(row)]
    return float(np.median(known)) if len(known) else None
