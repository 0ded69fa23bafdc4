"""Metric scores of the run beside those of the control maps, from its evaluate.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.metrics.evaluation_result import ARROWS, read_result
from pipeline.report.formatting import printable, significant

MAP_NAMES = {"map": "these maps", "random": "random maps", "edge": "edges", "centre": "a blob in the centre"}


@dataclass(frozen=True)
class ScoreMark:
    """A mean with its interval on the axis of its score; positions in percent of the axis, None where undefined.

    Attributes:
        kind: Name of the kind of maps.
        value: Mean and interval as text.
        place: Position of the mean.
        low: Position of the interval's lower end.
        high: Position of its upper end.
    """

    kind: str
    value: str
    place: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScoreChart:
    """Chart of a score: the run's maps and the control maps on one axis.

    Attributes:
        name: Name of the score.
        better: ``lower is better``, ``higher is better``, or empty.
        meaning: Its meaning, with the unit.
        protocol: Protocol of the metric.
        marks: The run's own first.
    """

    name: str
    better: str
    meaning: str
    protocol: str
    marks: list[ScoreMark]


def metric_scores(run_folder: Path) -> list[ScoreChart]:
    """Charts of all measured scores; none if the run was not evaluated."""
    metrics = (read_result(run_folder) or {"metrics": {}})["metrics"]
    return [_score(name, score, metric) for metric in metrics.values() for name, score in metric["scores"].items()]


def _score(name: str, score: dict[str, Any], metric: dict[str, Any]) -> ScoreChart:
    means = {kind: score[kind] for kind in MAP_NAMES}
    ends = [mean[end] for mean in means.values() for end in ("mean", "low", "high") if mean[end] is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    marks = [_mark(MAP_NAMES[kind], mean, low, (high - low) or 1.0) for kind, mean in means.items()]
    name, meaning, protocol = (
        printable(text) for text in (name.replace("_", " "), score["meaning"], metric["protocol"])
    )
    return ScoreChart(name, ARROWS[score["better"]], meaning, protocol, marks)


def _mark(kind: str, mean: dict[str, Any], start: float, width: float) -> ScoreMark:
    if mean["mean"] is None:
        return ScoreMark(kind, "undefined")
    place, low, high = (round(100 * (mean[end] - start) / width, 2) for end in ("mean", "low", "high"))
    value = f"{significant(mean['mean'])} [{significant(mean['low'])}, {significant(mean['high'])}]"
    return ScoreMark(kind, value, place, low, high)
