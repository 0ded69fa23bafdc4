"""A published shard in a few numbers, computed from its file: what a report adds up without reading maps."""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.store.manifest import Manifest
from pipeline.store.schema import SCHEMA_VERSION, Rows, canonical_json, fingerprint
from pipeline.store.shard import decode
from pipeline.store.sketch import Sketch

Summary = dict[str, Any]
CHECK = "check"
_COUNTS = ("n", "correct", "confidence_sum", "failures")


def summarize(path: Path, manifest: Manifest) -> Summary:
    """The summary of a published shard: size and sha256 of the file, range of images, and :func:`describe`.

    Raises:
        StoreError: The file is damaged.
        FileNotFoundError: It is not there.
    """
    data = path.read_bytes()
    rows, attributes = decode(io.BytesIO(data), path)
    return {
        "schema_version": SCHEMA_VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "range": attributes["image_range"],
        **describe(rows, manifest),
    }


def seal_summary(summary: Summary) -> bytes:
    """The text of a summary, with the sha256 of all that it says."""
    return canonical_json({**summary, CHECK: fingerprint(summary)}).encode()


def unseal_summary(text: bytes) -> Summary:
    """The summary in a text.

    Raises:
        ValueError: It is not what was sealed.
    """
    summary: Summary = json.loads(text)
    if not isinstance(summary, dict) or summary.pop(CHECK, None) != fingerprint(summary):
        raise ValueError("it does not say what was written")
    return summary


def describe(rows: Rows, manifest: Manifest) -> Summary:
    """What a shard's rows add up to.

    Returns:
        Counts, per class (by label) the numbers of images explained, of correct predictions and of failures
        and the sum of confidences, a sketch of the convergence deltas, and model evaluations.
    """
    deltas = rows.columns["convergence_delta"] if len(rows) else np.empty(0)
    return {
        "rows": len(rows),
        "failures": len(rows.failures),
        "classes": _classes(rows, manifest),
        "convergence_delta": Sketch.of(deltas).to_json(),
        "evaluations": int(rows.columns["evaluations"].sum(dtype=np.int64)) if len(rows) else 0,
    }


def total(summaries: Iterable[Summary]) -> Summary:
    """The sums over shards: shards, bytes, rows, failures, classes, convergence_delta, evaluations."""
    sums: Summary = {"shards": 0, "bytes": 0, "rows": 0, "failures": 0, "evaluations": 0}
    classes: dict[str, dict[str, float]] = {}
    deltas = Sketch()
    for summary in summaries:
        sums["shards"] += 1
        for name in ("bytes", "rows", "failures", "evaluations"):
            sums[name] += summary[name]
        for label, counts in summary["classes"].items():
            sofar = classes.setdefault(label, dict.fromkeys(_COUNTS, 0))
            classes[label] = {name: sofar[name] + counts[name] for name in _COUNTS}
        deltas = deltas.merge(Sketch.from_json(summary["convergence_delta"]))
    ordered = {label: classes[label] for label in sorted(classes, key=int)}
    return {**sums, "classes": ordered, "convergence_delta": deltas.to_json()}


def confidence(prediction: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Probability of the predicted class by softmax, or by sigmoid of a single output.

    Args:
        prediction: Logits (n, K).
        predicted: Class (n,); of a single output 0 or 1.

    Returns:
        (n,) float64 in [0, 1].
    """
    logits = prediction.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)  # sigmoid is softmax against 0
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probability: np.ndarray = powers[np.arange(len(powers)), predicted] / powers.sum(1)
    return probability


def _classes(rows: Rows, manifest: Manifest) -> dict[str, dict[str, float]]:
    """Counts per label, of images, not of their targets."""
    failed = manifest.labels([failure.index for failure in rows.failures])
    label, correct, sure = _outcomes(rows)
    classes = {}
    for number in np.union1d(label, failed).tolist():
        own = label == number
        explained = (int(own.sum()), int(correct[own].sum()), float(sure[own].sum()))
        classes[str(number)] = dict(zip(_COUNTS, (*explained, int(np.sum(failed == number))), strict=True))
    return classes


def _outcomes(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, whether the prediction is right, and its confidence, of each explained image."""
    if not len(rows):
        return np.empty(0, np.int32), np.empty(0, bool), np.empty(0)
    first = rows.take(np.unique(rows.columns["index"], return_index=True)[1]).columns
    correct = first["predicted"] == first["label"]
    return first["label"], correct, confidence(first["prediction"], first["predicted"])
