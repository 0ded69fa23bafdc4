"""Faithfulness against the controls, from the run's evaluate.json where there is one."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.words import printable, significant

log = logging.getLogger(__name__)

FILE = "evaluate.json"
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
        protocol: How it was measured.
        marks: The run's own first.
    """

    name: str
    better: str
    protocol: str
    marks: list[Mark]


def scores(run_folder: Path) -> list[Score]:
    """All scores that were measured; none where the run was not evaluated."""
    try:
        metrics = json.loads((run_folder / FILE).read_bytes())["metrics"]
        return [_score(name, score, metric) for metric in metrics.values() for name, score in metric["scores"].items()]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is left out, it cannot be read: %s", run_folder / FILE, error)
        return []


def _score(name: str, score: dict[str, Any], metric: dict[str, Any]) -> Score:
    means = {kind: score[kind] for kind in KINDS if kind in score}
    ends = [mean[end] for mean in means.values() for end in ("mean", "low", "high") if mean[end] is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    better = {"lower": "lower is better", "higher": "higher is better"}.get(score["better"], "")
    marks = [_mark(KINDS[kind], mean, low, (high - low) or 1.0) for kind, mean in means.items()]
    return Score(printable(name.replace("_", " ")), better, printable(metric["protocol"]), marks)


def _mark(kind: str, mean: dict[str, Any], start: float, width: float) -> Mark:
    if mean["mean"] is None or not math.isfinite(mean["mean"]):
        return Mark(kind, "undefined")
    places = {
        end: round(100 * (mean[end] - start) / width, 2) for end in ("mean", "low", "high") if mean[end] is not None
    }
    value = significant(mean["mean"])
    if "low" in places and "high" in places:
        value += f" [{significant(mean['low'])}, {significant(mean['high'])}]"
    return Mark(kind, value, places["mean"], places.get("low"), places.get("high"))
