"""A run in numbers: failures.jsonl, summary.json, summary.csv and index.h5, derived from the published shards."""

import csv
import io
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import Failure
from pipeline.store.atomic import replace
from pipeline.store.manifest import Manifest
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.store.shard_summary import ClassTotal, ShardTotals, sum_summaries
from pipeline.store.sketch import Sketch
from pipeline.store.virtual_dataset import INDEX, virtual_index

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class ClassSummary:
    """The numbers of a class, or of the whole run.

    Attributes:
        name: Of the class.
        label: Its number; -1 for images without a label, None for the whole run.
        n: Images explained.
        accuracy: Share of them that the model predicts as labelled, None without labels.
        confidence: Mean probability of the predicted class.
        delta_5: 5 % quantile of the convergence deltas' magnitudes, to 1 % of it, None where the method has none.
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
class RunSummary:
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
    overall: ClassSummary
    classes: list[ClassSummary]

    @property
    def failures(self) -> int:
        """Images that could not be explained."""
        return self.overall.failures

    @property
    def complete(self) -> bool:
        """Whether all shards are published."""
        return not self.missing_shards


def finish(run_folder: Path) -> RunSummary:
    """Derives what stands beside the shards; whoever does it again writes the same files.

    Raises:
        UsageError: The folder is no run's.
        StoreError: The manifest or a shard is damaged.
    """
    return write_derived_files(ShardReader(run_folder))


def write_derived_files(source: ShardReader) -> RunSummary:
    """The same from shards that are open, so that their bytes are checked once for all that is read of them."""
    run_folder = source.run
    source.ledger.tidy()
    sums = sum_summaries(source.ledger.renewed_summary(shard) for shard in source.shards)
    summary = _summary(source, sums)
    replace(_lines(source.manifest, sums.failed), run_folder / "failures.jsonl")
    replace(_csv([summary.overall, *summary.classes]), run_folder / "summary.csv")
    index = virtual_index(source, sums.failed)
    if index is not None:
        replace(index, run_folder / INDEX)
    # last: whoever finds it takes all for done
    replace(_json({**asdict(summary), "complete": summary.complete}), run_folder / "summary.json")
    return summary


def finished_counts(run_folder: Path) -> tuple[int, int] | None:
    """Images and failures of a whole run, if they were derived when all shards were published."""
    try:
        stored = json.loads((run_folder / "summary.json").read_bytes())
        return (stored["images"], stored["overall"]["failures"]) if stored["complete"] is True else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def columns(source: ShardReader, *names: str) -> dict[str, np.ndarray]:
    """Some columns of a run whole, by name; each shard is opened once for all of them."""
    parts = {name: [COLUMNS[name].empty()] for name in names}
    for shard in source.shards:
        for name in names:
            parts[name].append(source.read(shard, name))
    return {name: np.concatenate(parts[name]) for name in names}


def class_name(manifest: Manifest, number: int) -> str:
    """What a class is called in every table."""
    names = manifest.class_names
    return "(no label)" if number < 0 else names[number] if number < len(names) else f"class {number}"


def _summary(source: ShardReader, sums: ShardTotals) -> RunSummary:
    manifest, classes = source.manifest, sums.classes
    return RunSummary(
        fingerprint=manifest.fingerprint,
        images=len(manifest),
        published=int(np.diff(manifest.shards)[source.shards].sum()),
        explanations=sums.rows,
        missing_shards=np.setdiff1d(np.arange(manifest.n_shards), source.shards).tolist(),
        evaluations=sums.evaluations,
        bytes=sums.bytes,
        sha256=sums.sha256,
        overall=_line("all", None, classes),
        classes=[_line(class_name(manifest, label), label, {label: classes[label]}) for label in classes],
    )


def _line(name: str, label: int | None, classes: dict[int, ClassTotal]) -> ClassSummary:
    """Adds up classes."""
    n = sum(one.n for one in classes.values())
    labelled = [one for number, one in classes.items() if number >= 0]
    delta_5, delta_50, delta_95 = _quantiles("convergence_delta", classes.values())
    _, error_50, error_95 = _quantiles("error_estimate", classes.values())
    return ClassSummary(
        name,
        label,
        n,
        _ratio(sum(one.correct for one in labelled), sum(one.n for one in labelled)),
        _ratio(sum(one.confidence_sum for one in classes.values()), n),
        delta_5,
        delta_50,
        delta_95,
        error_50,
        error_95,
        sum(one.failures for one in classes.values()),
    )


def _quantiles(name: str, classes: Collection[ClassTotal]) -> list[float | None]:
    """`QUANTILES` of a column's magnitudes, as near as the sketches know them; None if there are none."""
    merged = Sketch()
    for one in classes:
        merged.merge(one.sketches[name])
    return [merged.quantile(q) for q in QUANTILES] if merged.count else [None] * len(QUANTILES)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _lines(manifest: Manifest, failed: list[Failure]) -> bytes:
    """A JSON object a line for each failure; ``os.fsencode(path)`` gives the path's bytes, whatever they are."""
    described = ({"path": os.fsdecode(manifest.paths[failure.index]), **asdict(failure)} for failure in failed)
    return b"".join(json.dumps(line).encode() + b"\n" for line in described)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"


def _csv(lines: list[ClassSummary]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(ClassSummary))
    table.writerows(asdict(line).values() for line in lines)
    return text.getvalue().encode()
