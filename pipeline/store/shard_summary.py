"""Summary of a published shard: its checksum, counts, sums and quantile sketches, which reports add up over shards.

Computed from the published file, so a report of a run reads no map; derived data, which can always be computed again.
"""

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
from pipeline.store.quantile_sketch import Sketch
from pipeline.store.schema import SCHEMA_VERSION, Rows, canonical_json, fingerprint
from pipeline.store.shard import decode_rows

ShardSummary = dict[str, Any]
CHECKSUM_KEY = "check"
"""Key of the sha256 of the other entries."""
SKETCHED_COLUMNS = ("convergence_delta", "error_estimate")
_HEX = 64  # letters of a sha256
_SUMMED = ("bytes", "rows", "evaluations")


def summarize_shard(data: bytes, path: Path, manifest: Manifest) -> ShardSummary:
    """Summarize a published shard: size and sha256 of the file, range of images, and :func:`summarize_rows`.

    Args:
        data: The file's bytes.
        path: Of the file, for messages.
        manifest: The run's.

    Raises:
        StoreError: The file is damaged.
    """
    rows, attributes = decode_rows(io.BytesIO(data), path)
    return {
        "schema_version": SCHEMA_VERSION,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "range": attributes["image_range"],
        **summarize_rows(rows, manifest),
    }


def is_current(summary: ShardSummary, manifest: Manifest) -> bool:
    """Return whether a summary of a run is of this version.

    An older version did not list the failures, or took the confidence of independent outputs (multi-label) by softmax.
    """
    return "failed" in summary and summary.items() >= _confidence_kind(manifest).items()


def encode_summary(summary: ShardSummary) -> bytes:
    """Encode a summary as JSON, with the sha256 of its content."""
    return canonical_json({**summary, CHECKSUM_KEY: fingerprint(summary)}).encode()


def decode_summary(text: bytes) -> ShardSummary:
    """Decode a summary, and verify its checksum.

    Raises:
        ValueError: The content does not match its checksum.
    """
    before, _, after = text.partition(f'"{CHECKSUM_KEY}":"'.encode())
    # Canonical JSON: the text without the entry of the checksum is the text that was hashed.
    checksum, after = after[:_HEX], after[_HEX + len('",') :]
    if hashlib.sha256(before + after).hexdigest().encode() != checksum:
        raise ValueError("its content does not match its checksum")
    summary: ShardSummary = orjson.loads(before + after)  # takes a third of the time of json.loads
    return summary


def summarize_rows(rows: Rows, manifest: Manifest) -> ShardSummary:
    """Add up the rows of a shard.

    Returns:
        Counts, model evaluations, the failures, and for each class (by label) the terms of a :class:`ClassTotals`.
    """
    return {
        "rows": len(rows),
        "failures": len(rows.failures),
        "failed": [[failure.index, failure.stage, failure.error] for failure in rows.failures],
        "classes": _classes(rows, manifest),
        **_confidence_kind(manifest),
        "evaluations": int(rows.columns["evaluations"].sum(dtype=np.int64)) if len(rows) else 0,
    }


@dataclass
class ClassTotals:
    """Sums over the images of a class, by label.

    Attributes:
        n: Number of images explained.
        correct: Number of these that are predicted as labelled.
        confidence_sum: Sum of the probabilities of the predicted classes.
        failures: Number of images that could not be explained.
        sketches: Quantile sketches of the magnitudes in the columns `SKETCHED_COLUMNS`, over explanations.
    """

    n: int = 0
    correct: int = 0
    confidence_sum: float = 0.0
    failures: int = 0
    sketches: dict[str, Sketch] = field(default_factory=lambda: {name: Sketch() for name in SKETCHED_COLUMNS})

    def add(self, stored: ShardSummary) -> None:
        """Add the terms of the class in a shard's summary."""
        self.n += stored["n"]
        self.correct += stored["correct"]
        self.confidence_sum += stored["confidence_sum"]
        self.failures += stored["failures"]
        for name, sketch in self.sketches.items():
            sketch.add(stored[name])


@dataclass
class ShardTotals:
    """Sums over shards.

    Attributes:
        bytes: Size of their files.
        rows: Number of explanations.
        evaluations: Number of model evaluations.
        failed: The images that could not be explained.
        classes: Sums of each class, by label, ascending.
        sha256: Sha256 (hex) of the shards' sha256s, in order.
    """

    bytes: int
    rows: int
    evaluations: int
    failed: list[Failure]
    classes: dict[int, ClassTotals]
    sha256: str


def sum_summaries(summaries: Iterable[ShardSummary]) -> ShardTotals:
    """Add up summaries in one pass; time and memory do not depend on the number of images in the shards."""
    sums, digest = dict.fromkeys(_SUMMED, 0), hashlib.sha256()
    classes: defaultdict[int, ClassTotals] = defaultdict(ClassTotals)
    failed: list[Failure] = []
    for summary in summaries:
        digest.update(summary["sha256"].encode())
        for name in _SUMMED:
            sums[name] += summary[name]
        for label, stored in summary["classes"].items():
            classes[int(label)].add(stored)
        failed += [Failure(*failure) for failure in summary["failed"]]
    return ShardTotals(**sums, failed=failed, classes=dict(sorted(classes.items())), sha256=digest.hexdigest())


def _confidence_kind(manifest: Manifest) -> dict[str, str]:
    """Entry of a summary whose confidences are sigmoids; softmax, as in every older summary, has no entry."""
    return {"confidence": "sigmoid"} if manifest.output_space.multi_label else {}


def _classes(rows: Rows, manifest: Manifest) -> dict[str, ShardSummary]:
    """Count the images of each label, not their targets; and sketch the values of each explanation."""
    failed = manifest.labels([failure.index for failure in rows.failures])
    label, correct, confidence = _outcomes(rows, manifest)
    classes = {}
    for number in np.union1d(label, failed).tolist():
        own = label == number
        classes[str(number)] = {
            "n": int(own.sum()),
            "correct": int(correct[own].sum()),
            "confidence_sum": float(confidence[own].sum()),
            "failures": int(np.sum(failed == number)),
            **{name: _sketch(rows, name, number).to_json() for name in SKETCHED_COLUMNS},
        }
    return classes


def _sketch(rows: Rows, name: str, label: int) -> Sketch:
    return Sketch.of(np.abs(rows.columns[name][rows.columns["label"] == label])) if len(rows) else Sketch()


def _outcomes(rows: Rows, manifest: Manifest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, correctness and confidence of the prediction of each explained image, from the first of its rows."""
    if not len(rows):
        return np.empty(0, np.int32), np.empty(0, bool), np.empty(0)
    first = rows.take(np.unique(rows.columns["index"], return_index=True)[1]).columns
    correct = first["predicted"] == first["label"]
    return first["label"], correct, manifest.output_space.confidence(first["prediction"], first["predicted"])
