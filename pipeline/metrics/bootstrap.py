"""How sure a mean over images is: percentiles of the means of resamples."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
_AT_ONCE = 64
"""Resamples that are drawn together, to bound the memory."""


@dataclass(frozen=True)
class Mean:
    """A mean over explanations with its interval; None without a defined value.

    Attributes:
        mean: Over the explanations for which it is defined.
        low: Lower end of the interval.
        high: Upper end.
    """

    mean: float | None
    low: float | None
    high: float | None


def summary(values: dict[str, np.ndarray], *, resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Means of each kind of map, and of the differences of the first from the others, image by image.

    Efron 1979: explanations are drawn with replacement, the same ones for all kinds; the interval is between
    percentiles of the means.

    Args:
        values: (n,) float64 for each kind of map, the run's own first; NaN where undefined.
        resamples: How many.
        seed: Of the draws.

    Returns:
        Of each kind: mean, low, high, median, defined (a count); of the controls also ``difference``.
    """
    (own, first), *others = values.items()
    rows = [*values.values(), *(first - control for _, control in others)]
    means = _means(np.stack(rows), resamples=resamples, seed=seed)
    found: dict[str, dict[str, Any]] = {
        kind: {**asdict(mean), "median": _median(row), "defined": int(np.isfinite(row).sum())}
        for (kind, row), mean in zip(values.items(), means, strict=False)
    }
    for (kind, _), mean in zip(others, means[len(values) :], strict=True):
        found[kind]["difference"] = asdict(mean)
    assert own == next(iter(found))
    return found


def _means(rows: np.ndarray, *, resamples: int, seed: int) -> list[Mean]:
    """Of each row (k, n), over its defined values."""
    defined = np.isfinite(rows)
    filled = np.where(defined, rows, 0)
    draws, generator = [], np.random.default_rng(seed)
    for first in range(0, resamples, _AT_ONCE):
        count = rows.shape[1]
        weights = generator.multinomial(count, np.full(count, 1 / count), min(_AT_ONCE, resamples - first))
        sums, counts = (side.astype(np.float64) @ weights.T for side in (filled, defined))
        draws.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    tails = (1 - CONFIDENCE) / 2
    return [
        Mean(float(row[known].mean()), *np.nanquantile(drawn, (tails, 1 - tails)).tolist())
        if known.any()
        else Mean(None, None, None)
        for row, known, drawn in zip(rows, defined, np.concatenate(draws, 1), strict=True)
    ]


def _median(row: np.ndarray) -> float | None:
    known = row[np.isfinite(row)]
    return float(np.median(known)) if len(known) else None
