"""Faithfulness against the controls, from the run's evaluate.json where there is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.metrics.result import ARROWS, read
from pipeline.report.formatting import printable, significant

KINDS = {"map": "these maps", "random": "random maps", "edge": "edges", "centre": "a blob in the centre"}


@dataclass(frozen=True)
class Mark:
    """A mean with its interval on the axis of its score; places in percent of the axis, None where undefined.

    Attributes:
        kind: Whose maps.
        value: As it is read.
        place: Of the mean.
        low: Of the interval's lower end.
        high: Of its upper end.
    """

    kind: str
    value: str
    place: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Score:
    """A score of the run's maps beside the same of the controls.

    Attributes:
        name: Of the score.
        better: ``lower is better``, ``higher is better``, or nothing.
        meaning: What it is, with its unit.
        protocol: How it was measured.
        marks: The run's own first.
    """

    name: str
    better: str
    meaning: str
    protocol: str
    marks: list[Mark]


def scores(run_folder: Path) -> list[Score]:
    """All scores that were measured; none where the run was not evaluated."""
    metrics = (read(run_folder) or {"metrics": {}})["metrics"]
    return [_score(name, score, metric) for metric in metrics.values() for name, score in metric["scores"].items()]


def _score(name: str, score: dict[str, Any], metric: dict[str, Any]) -> Score:
    means = {kind: score[kind] for kind in KINDS}
    ends = [mean[end] for mean in means.values() for end in ("mean", "low", "high") if mean[end] is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    marks = [_mark(KINDS[kind], mean, low, (high - low) or 1.0) for kind, mean in means.items()]
    name, meaning, protocol = (
        printable(words) for words in (name.replace("_", " "), score["meaning"], metric["protocol"])
    )
    return Score(name, ARROWS[score["better"]], meaning, protocol, marks)


def _mark(kind: str, mean: dict[str, Any], start: float, width: float) -> Mark:
    if mean["mean"] is None:
        return Mark(kind, "undefined")
    place, low, high = (round(100 * (mean[end] - start) / width, 2) for end in ("mean", "low", "high"))
    value = f"{significant(mean['mean'])} [{significant(mean['low'])}, {significant(mean['high'])}]"
    return Mark(kind, value, place, low, high)
