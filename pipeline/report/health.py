"""Health of a run: what is missing, what failed, and statistics of its maps."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.errors import Failure
from pipeline.report.formatting import percent, significant
from pipeline.report.map_sample import BORDER_AREA, MAPS_READ, MapSample
from pipeline.report.run_summary import RunSummary
from pipeline.store.reader import Run

BARS = 41
SAMPLE_NOTE = (
    f"Maps are read from all classes, {MAPS_READ:,} at most. Mostly on the border: more than half of a map's magnitude "
    f"lies in the outer sixteenth of each side, where an even map has {percent(BORDER_AREA)}."
)


@dataclass(frozen=True)
class Indicator:
    """A named number of the page.

    Attributes:
        name: Shown beside it.
        value: Formatted.
        alarm: True if it needs attention.
    """

    name: str
    value: str
    alarm: bool = False


@dataclass(frozen=True)
class HistogramBar:
    """A bar of a histogram; height in [0, 100], the tallest 100."""

    height: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """A histogram of values between -limit and limit; its first and last bars also count all values beyond."""

    bars: list[HistogramBar]
    limit: str
    count: int


def headline_indicators(summary: RunSummary, columns: dict[str, np.ndarray]) -> list[Indicator]:
    """The few numbers at the head of the report.

    Args:
        summary: Of the run.
        columns: ``score``, ``baseline_score`` and ``convergence_delta`` of all rows.
    """
    overall = summary.overall
    indicators = [Indicator(f"of {summary.images:,} images explained", f"{overall.n:,}")]
    if overall.accuracy is not None:
        indicators.append(Indicator("predicted as labelled", percent(overall.accuracy)))
    if overall.confidence is not None:
        indicators.append(Indicator("mean confidence of the prediction", percent(overall.confidence)))
    if (delta := _median_relative_delta(columns)) is not None:
        name = "of F(x) − F(baseline) that the median map misses"  # noqa: RUF001
        indicators.append(Indicator(name, percent(delta)))
    return indicators


def health_checks(run: Run, summary: RunSummary, failed: list[Failure], maps: MapSample) -> list[Indicator]:
    """All that could be wrong with a run, the most serious first."""
    stages = Counter(failure.stage for failure in failed)
    reasons = ", ".join(f"{stage} {count:,}" for stage, count in sorted(stages.items()))
    missing, overall = len(summary.missing_shards), summary.overall
    indicators = [
        Indicator("Shards missing", f"{missing:,} of {run.manifest.n_shards:,}" if missing else "none", missing > 0),
        Indicator("Images that failed", f"{summary.failures:,} ({reasons})" if stages else "none", bool(stages)),
        Indicator("Explanations", f"{summary.explanations:,}"),
        Indicator("Maps of zeros", _of_sample(maps.zero, maps), maps.zero > 0),
        Indicator("Maps mostly on the border", _of_sample(maps.on_border, maps)),
        Indicator("Model evaluations for each", significant(summary.evaluations / max(summary.explanations, 1))),
    ]
    if overall.delta_50 is not None and overall.delta_95 is not None:
        quantiles = f"{significant(overall.delta_50, 2)}, {significant(overall.delta_95, 2)}"
        indicators.append(Indicator("Convergence delta, 50 and 95 %", quantiles))
    if overall.error_50 is not None and overall.error_95 is not None:
        quantiles = f"{percent(overall.error_50)}, {percent(overall.error_95)}"
        indicators.append(Indicator("Estimated error of a map, of its norm, 50 and 95 %", quantiles))
    return indicators


def histogram(values: np.ndarray) -> Histogram | None:
    """Histogram of the finite values; None if there are none."""
    values = values[np.isfinite(values)].astype(np.float64)
    if not len(values):
        return None
    # The 99 % quantile, so that a single outlier does not squeeze all others into one bar
    limit = float(np.quantile(np.abs(values), 0.99)) or 1.0
    counts, edges = np.histogram(np.clip(values, -limit, limit), BARS, (-limit, limit))
    bars = [
        HistogramBar(100 * count / counts.max(), f"{significant(low, 2)} to {significant(high, 2)}: {count:,}")
        for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True)
    ]
    return Histogram(bars, significant(limit, 2), len(values))


def _median_relative_delta(columns: dict[str, np.ndarray]) -> float | None:
    """Median of |delta| / |F(x) - F(baseline)|, None without deltas."""
    change = np.abs(columns["score"].astype(np.float64) - columns["baseline_score"])
    delta = np.abs(columns["convergence_delta"])
    known = np.isfinite(delta) & (change > 0)
    return float(np.median(delta[known] / change[known])) if known.any() else None


def _of_sample(count: int, maps: MapSample) -> str:
    return f"{count:,} of {maps.read:,} read"
