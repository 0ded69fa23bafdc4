"""Result of an evaluation: the content of evaluate.json, and the table that is printed."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.bootstrap import CONFIDENCE, bootstrap_summary
from pipeline.metrics.control_maps import DESCRIPTIONS, KINDS
from pipeline.metrics.metric import Metric
from pipeline.store.run_files import read_run_file

RESULT_FILE = "evaluate.json"
SCHEMA = 1
DIGITS = 6
"""Significant digits of stored numbers."""
ARROWS = {"lower": "lower is better", "higher": "higher is better", "neither": ""}

Result = dict[str, Any]
MeasuredArrays = dict[str, np.ndarray]
"""Measurements of n explanations: ``readable`` (n,), ``scores.NAME`` (M, n), and ``curves.NAME`` (M, k, S) of those
whose image could be read."""


def new_result(*, run: Result, sample: Result, resamples: int, explanations: Result) -> Result:
    """A result without metrics.

    Args:
        run: Fingerprint, method, model and output of the run.
        sample: Seed, explanations judged, explanations published.
        resamples: Of the bootstrap.
        explanations: Image number, target and label of each explanation judged, in the order of all values.
    """
    return {
        "schema": SCHEMA,
        "run": run,
        "sample": sample,
        "bootstrap": {"resamples": resamples, "confidence": CONFIDENCE},
        "maps": {kind: DESCRIPTIONS[kind] for kind in KINDS},
        "metrics": {},
        "explanations": explanations,
    }


def metric_result(metric: Metric, options: Result, measured: MeasuredArrays, *, resamples: int, seed: int) -> Result:
    """Result of a metric, as evaluate.json has it under its name.

    Args:
        metric: The metric.
        options: Its own.
        measured: Of all explanations.
        resamples: Of the bootstrap.
        seed: Of its draws.
    """
    values = {name: _by_kind(np.vectorize(round_significant)(measured[f"scores.{name}"])) for name in metric.scores}
    curves = {name[7:]: _by_kind(curve.mean(1)) for name, curve in measured.items() if name.startswith("curves.")}
    scores = {
        name: {**asdict(score), **bootstrap_summary(values[name], resamples=resamples, seed=seed)}
        for name, score in metric.scores.items()
    }
    return {
        "title": metric.title,
        "source": metric.source,
        "protocol": metric.protocol,
        "options": options,
        "unreadable": int((~measured["readable"]).sum()),
        "scores": scores,
        "curves": {"axis": metric.axis, "positions": metric.positions, **curves} if curves else None,
        "values": values,
    }


def _by_kind(rows: np.ndarray) -> MeasuredArrays:
    return dict(zip(KINDS, rows, strict=True))


def encode_result(result: Result) -> bytes:
    """Encode a result as plain JSON: numbers with six significant digits, null where undefined."""
    return json.dumps(_plain(result), indent=1, allow_nan=False).encode() + b"\n"


def read_result(run_folder: Path) -> Result | None:
    """Read the result in a run's folder; None if there is none that this version can read."""
    try:
        result = json.loads(read_run_file(run_folder / RESULT_FILE, run_folder))
    except (FileNotFoundError, ValueError):
        return None
    return result if isinstance(result, dict) and result.get("schema") == SCHEMA else None


def result_table(result: Result) -> str:
    """Format every score beside those of the controls, with intervals, and the protocols, as plain text."""
    sample, lines = result["sample"], []
    lines.append(
        f"{sample['explanations']:,} of {sample['published']:,} explanations (seed {sample['seed']}); mean "
        f"[{result['bootstrap']['confidence']:.0%} interval]; * differs from the maps' beyond its interval"
    )
    lines.append(f"{'':<22}" + "".join(f"{kind:<26}" for kind in KINDS))
    for metric in result["metrics"].values():
        for name, score in metric["scores"].items():
            cells = "".join(f"{_cell(score[kind]):<26}" for kind in KINDS)
            lines.append(f"{name:<22}{cells}{ARROWS[score['better']]}".rstrip())
    lines += [f"{one['title']} ({one['source']}): {one['protocol']}" for one in result["metrics"].values()]
    return "\n".join(lines)


def _cell(mean: Result) -> str:
    if mean["mean"] is None:
        return "undefined"
    difference = mean.get("difference", {"low": None})
    differs = difference["low"] is not None and (difference["low"] > 0 or difference["high"] < 0)
    return f"{mean['mean']:.3g} [{mean['low']:.3g}, {mean['high']:.3g}]" + "*" * differs


def round_significant(value: float) -> float:
    """Round to the digits that are stored, so that the stored means are those of the stored values."""
    return float(f"{value:.{DIGITS}g}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return round_significant(float(value)) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
