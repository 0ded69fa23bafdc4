"""A run in numbers: failures.jsonl, summary.json and summary.csv, derived from the published shards."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import Failure
from pipeline.store.manifest import Manifest
from pipeline.store.publish import replace
from pipeline.store.schema import COLUMNS
from pipeline.store.source import Source
from pipeline.store.summary import total

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Line:
    """The numbers of a class, or of the whole run.

    Attributes:
        name: Of the class.
        label: Its number; -1 for images without a label, None for the whole run.
        n: Images explained.
        accuracy: Share of them that the model predicts as labelled, None without labels.
        confidence: Mean probability of the predicted class.
        delta_5: 5 % quantile of the convergence deltas' magnitudes, None where the method has none.
        delta_50: Their median.
        delta_95: Their 95 % quantile.
        error_50: Median of the maps' estimated relative errors, None where the method estimates none.
        error_95: Their 95 % quantile.
        failures: Images that could not be explained.
    """

    name: str
    label: int | None
    n: int
    accuracy: float | None
    confidence: float | None
    delta_5: float | None
    delta_50: float | None
    delta_95: float | None
    error_50: float | None
    error_95: float | None
    failures: int


@dataclass(frozen=True)
class Summary:
    """A run in numbers.

    Attributes:
        fingerprint: Of the run.
        images: In the manifest.
        published: Images in published shards, failures among them.
        explanations: Published rows.
        missing_shards: Numbers of the shards that are not published.
        evaluations: Of the model, spent on the rows.
        bytes: Of all published shards.
        sha256: Of the published shards' sha256s, in order, hex.
        overall: The whole run.
        classes: By label.
    """

    fingerprint: str
    images: int
    published: int
    explanations: int
    missing_shards: list[int]
    evaluations: int
    bytes: int
    sha256: str
    overall: Line
    classes: list[Line]

    @property
    def failures(self) -> int:
        """Images that could not be explained."""
        return self.overall.failures

    @property
    def complete(self) -> bool:
        """Whether all shards are published."""
        return not self.missing_shards


def finish(run_folder: Path) -> Summary:
    """Derives what stands beside the shards; whoever does it again writes the same files.

    Raises:
        UsageError: The folder is no run's.
        StoreError: The manifest or a shard is damaged.
    """
    return derive(Source(run_folder))


def derive(source: Source) -> Summary:
    """The same from shards that are open, so that their bytes are checked once for all that is read of them."""
    run_folder = source.run
    source.ledger.tidy()
    summary = _summary(source)
    replace(_lines(source), run_folder / "failures.jsonl")
    replace(_json({**asdict(summary), "complete": summary.complete}), run_folder / "summary.json")
    replace(_csv([summary.overall, *summary.classes]), run_folder / "summary.csv")
    return summary


def is_complete(run_folder: Path) -> bool:
    """Whether somebody derived all this when all shards were published."""
    try:
        return json.loads((run_folder / "summary.json").read_bytes()).get("complete") is True
    except (FileNotFoundError, ValueError, AttributeError):
        return False


def columns(source: Source, *names: str) -> dict[str, np.ndarray]:
    """Some columns of a run whole, by name."""
    return {
        name: np.concatenate([COLUMNS[name].empty(), *(source.column(shard, name) for shard in source.shards)])
        for name in names
    }


def class_name(manifest: Manifest, number: int) -> str:
    """What a class is called in every table."""
    names = manifest.class_names
    return "(no label)" if number < 0 else names[number] if number < len(names) else f"class {number}"


def _summary(source: Source) -> Summary:
    manifest, ledger, digest = source.manifest, source.ledger, hashlib.sha256()

    def stored() -> Iterator[dict[str, Any]]:
        for shard in source.shards:
            counts = ledger.summary(shard)
            digest.update(counts["sha256"].encode())
            yield counts

    sums = total(stored())
    classes = {int(label): counts for label, counts in sums["classes"].items()}
    magnitudes = {name: _magnitudes(source, name) for name in ("convergence_delta", "error_estimate")}
    return Summary(
        fingerprint=manifest.fingerprint,
        images=len(manifest),
        published=int(np.diff(manifest.shards)[source.shards].sum()),
        explanations=sums["rows"],
        missing_shards=np.setdiff1d(np.arange(manifest.n_shards), source.shards).tolist(),
        evaluations=sums["evaluations"],
        bytes=sums["bytes"],
        sha256=digest.hexdigest(),
        overall=_line("all", None, classes, magnitudes),
        classes=[_line(class_name(manifest, label), label, {label: classes[label]}, magnitudes) for label in classes],
    )


def _line(
    name: str,
    label: int | None,
    classes: dict[int, dict[str, float]],
    magnitudes: dict[str, dict[int, np.ndarray]],
) -> Line:
    """Adds up classes: their counts, and the magnitudes of some columns."""
    n, failures = (int(sum(counts[key] for counts in classes.values())) for key in ("n", "failures"))
    labelled = [counts for number, counts in classes.items() if number >= 0]
    delta_5, delta_50, delta_95 = _quantiles(magnitudes["convergence_delta"], classes)
    _, error_50, error_95 = _quantiles(magnitudes["error_estimate"], classes)
    return Line(
        name,
        label,
        n,
        _ratio(sum(counts["correct"] for counts in labelled), sum(counts["n"] for counts in labelled)),
        _ratio(sum(counts["confidence_sum"] for counts in classes.values()), n),
        delta_5,
        delta_50,
        delta_95,
        error_50,
        error_95,
        failures,
    )


def _quantiles(magnitudes: dict[int, np.ndarray], labels: Iterable[int]) -> list[float | None]:
    """`QUANTILES` of the magnitudes under some labels; None if there are none."""
    found = np.concatenate([np.empty(0), *(magnitudes[label] for label in labels if label in magnitudes)])
    return np.quantile(found, QUANTILES).tolist() if len(found) else [None] * len(QUANTILES)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _magnitudes(source: Source, name: str) -> dict[int, np.ndarray]:
    """Magnitudes of a column's finite values, by label."""
    label, values = columns(source, "label", name).values()
    label, magnitude = label[np.isfinite(values)], np.abs(values[np.isfinite(values)])
    order = np.argsort(label, kind="stable")
    found, first = np.unique(label[order], return_index=True)
    return dict(zip(found.tolist(), np.split(magnitude[order], first)[1:], strict=True))


def _lines(source: Source) -> bytes:
    """A JSON object a line for each failure; ``os.fsencode(path)`` gives the path's bytes, whatever they are."""
    failures = (failure for shard in source.shards for failure in _failures(source, shard))
    paths = source.manifest.paths
    described = ({"path": os.fsdecode(paths[failure.index]), **asdict(failure)} for failure in failures)
    return b"".join(json.dumps(line).encode() + b"\n" for line in described)


def _failures(source: Source, shard: int) -> list[Failure]:
    return source.failures(shard) if source.ledger.summary(shard)["failures"] else []


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"


def _csv(lines: list[Line]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(Line))
    table.writerows(asdict(line).values() for line in lines)
    return text.getvalue().encode()
