"""A published shard in a few numbers, computed from its file: what a report adds up without reading maps."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.errors import Failure
from pipeline.store.manifest import Manifest
from pipeline.store.schema import SCHEMA_VERSION, Rows, canonical_json, fingerprint
from pipeline.store.shard import decode
from pipeline.store.sketch import Sketch

ShardSummary = dict[str, Any]
CHECK = "check"
SKETCHED = ("convergence_delta", "error_estimate")
_HEX = 64  # letters of a sha256
_SUMMED = ("bytes", "rows", "evaluations")


def summarize(data: bytes, path: Path, manifest: Manifest) -> ShardSummary:
    """The summary of a published shard: size and sha256 of the file, range of images, and :func:`describe`.

    Args:
        data: The file's bytes.
        path: What messages call it.
        manifest: The run's.

    Raises:
        StoreError: The file is damaged.
    """
    rows, attributes = decode(io.BytesIO(data), path)
    return {
        "schema_version": SCHEMA_VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "range": attributes["image_range"],
        **describe(rows, manifest),
    }


def is_current(summary: ShardSummary) -> bool:
    """Whether a summary has all that a total adds up; one of an older version does not name the failures."""
    return "failed" in summary


def seal_summary(summary: ShardSummary) -> bytes:
    """The text of a summary, with the sha256 of all that it says."""
    return canonical_json({**summary, CHECK: fingerprint(summary)}).encode()


def unseal_summary(text: bytes) -> ShardSummary:
    """The summary in a text.

    Raises:
        ValueError: It is not what was sealed.
    """
    before, _, after = text.partition(f'"{CHECK}":"'.encode())
    sealed, after = after[:_HEX], after[_HEX + len('",') :]
    if hashlib.sha256(before + after).hexdigest().encode() != sealed:
        raise ValueError("it does not say what was written")
    summary: ShardSummary = orjson.loads(before + after)  # in a third of the time that json takes
    return summary


def describe(rows: Rows, manifest: Manifest) -> ShardSummary:
    """What a shard's rows add up to.

    Returns:
        Counts, model evaluations, the failures, and per class (by label) what a :class:`ClassTotal` adds up.
    """
    return {
        "rows": len(rows),
        "failures": len(rows.failures),
        "failed": [[failure.index, failure.stage, failure.error] for failure in rows.failures],
        "classes": _classes(rows, manifest),
        "evaluations": int(rows.columns["evaluations"].sum(dtype=np.int64)) if len(rows) else 0,
    }


@dataclass
class ClassTotal:
    """What the images of a class, by label, add up to.

    Attributes:
        n: Images explained.
        correct: How many of them are predicted as labelled.
        confidence_sum: Of the probabilities of the predicted classes.
        failures: Images that could not be explained.
        sketches: Of the magnitudes in the columns `SKETCHED`, of each explanation.
    """

    n: int = 0
    correct: int = 0
    confidence_sum: float = 0.0
    failures: int = 0
    sketches: dict[str, Sketch] = field(default_factory=lambda: {name: Sketch() for name in SKETCHED})

    def add(self, stored: ShardSummary) -> None:
        """Adds what a shard's summary says of the class."""
        self.n += stored["n"]
        self.correct += stored["correct"]
        self.confidence_sum += stored["confidence_sum"]
        self.failures += stored["failures"]
        for name, sketch in self.sketches.items():
            sketch.add(stored[name])


@dataclass
class ShardTotals:
    """What shards add up to.

    Attributes:
        bytes: Of their files.
        rows: Explanations.
        evaluations: Of the model.
        failed: Images that could not be explained.
        classes: By label, in its order.
        sha256: Of the shards' sha256s, in order, hex.
    """

    bytes: int
    rows: int
    evaluations: int
    failed: list[Failure]
    classes: dict[int, ClassTotal]
    sha256: str


def sum_summaries(summaries: Iterable[ShardSummary]) -> ShardTotals:
    """The sums over shards, in one pass; the work and the memory do not depend on how many images they have."""
    sums, digest = dict.fromkeys(_SUMMED, 0), hashlib.sha256()
    classes: defaultdict[int, ClassTotal] = defaultdict(ClassTotal)
    failed: list[Failure] = []
    for summary in summaries:
        digest.update(summary["sha256"].encode())
        for name in _SUMMED:
            sums[name] += summary[name]
        for label, stored in summary["classes"].items():
            classes[int(label)].add(stored)
        failed += [Failure(*failure) for failure in summary["failed"]]
    return ShardTotals(**sums, failed=failed, classes=dict(sorted(classes.items())), sha256=digest.hexdigest())


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


def _classes(rows: Rows, manifest: Manifest) -> dict[str, ShardSummary]:
    """Per label counts of images, not of their targets, and sketches of what each explanation has."""
    failed = manifest.labels([failure.index for failure in rows.failures])
    label, correct, sure = _outcomes(rows)
    classes = {}
    for number in np.union1d(label, failed).tolist():
        own = label == number
        classes[str(number)] = {
            "n": int(own.sum()),
            "correct": int(correct[own].sum()),
            "confidence_sum": float(sure[own].sum()),
            "failures": int(np.sum(failed == number)),
            **{name: _sketch(rows, name, number).to_json() for name in SKETCHED},
        }
    return classes


def _sketch(rows: Rows, name: str, label: int) -> Sketch:
    return Sketch.of(np.abs(rows.columns[name][rows.columns["label"] == label])) if len(rows) else Sketch()


def _outcomes(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, whether the prediction is right, and its confidence, of each explained image."""
    if not len(rows):
        return np.empty(0, np.int32), np.empty(0, bool), np.empty(0)
    first = rows.take(np.unique(rows.columns["index"], return_index=True)[1]).columns
    correct = first["predicted"] == first["label"]
    return first["label"], correct, confidence(first["prediction"], first["predicted"])
