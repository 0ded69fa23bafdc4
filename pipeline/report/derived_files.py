"""The files derived from a run's shards: failures.jsonl, summary.csv, index.h5 and summary.json.

Deriving is idempotent: any worker may do it, again at any time, and writes the same bytes.
"""

import csv
import io
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pipeline.errors import Failure
from pipeline.report.run_summary import ClassSummary, RunSummary, summarize_run
from pipeline.store.atomic import atomic_write
from pipeline.store.manifest import Manifest
from pipeline.store.shard_reader import ShardReader
from pipeline.store.shard_summary import sum_summaries
from pipeline.store.virtual_dataset import INDEX, encode_index

FAILURES, SUMMARY, TABLE = "failures.jsonl", "summary.json", "summary.csv"


def finish(run_folder: Path) -> RunSummary:
    """Derives the files of a run, finished or not, and returns its summary.

    Raises:
        UsageError: The folder is no run's.
        StoreError: The manifest or a shard is damaged.
    """
    return write_derived_files(ShardReader(run_folder))


def write_derived_files(reader: ShardReader) -> RunSummary:
    """As :func:`finish`, from an open reader, so that each shard's bytes are verified once for all that reads them."""
    run_folder = reader.run
    reader.ledger.remove_leftovers()
    totals = sum_summaries(reader.ledger.ensure_summary(shard) for shard in reader.shards)
    summary = summarize_run(reader, totals)
    atomic_write(_failures_jsonl(reader.manifest, totals.failed), run_folder / FAILURES)
    atomic_write(_csv([summary.overall, *summary.classes]), run_folder / TABLE)
    index = encode_index(reader, totals.failed)
    if index is not None:
        atomic_write(index, run_folder / INDEX)
    # summary.json is written last: a reader that finds it complete takes the other files for written too
    atomic_write(_json({**asdict(summary), "complete": summary.complete}), run_folder / SUMMARY)
    return summary


def finished_counts(run_folder: Path) -> tuple[int, int] | None:
    """Numbers of images and of failures, from the summary.json of a finished run; None if the run is not finished."""
    try:
        stored = json.loads((run_folder / SUMMARY).read_bytes())
        return (stored["images"], stored["overall"]["failures"]) if stored["complete"] is True else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _failures_jsonl(manifest: Manifest, failed: list[Failure]) -> bytes:
    """One JSON object a line for each failure; ``os.fsencode(path)`` gives the path's bytes, also where no UTF-8."""
    objects = ({"path": os.fsdecode(manifest.paths[failure.index]), **asdict(failure)} for failure in failed)
    return b"".join(json.dumps(failure).encode() + b"\n" for failure in objects)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"


def _csv(summaries: list[ClassSummary]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(ClassSummary))
    table.writerows(asdict(summary).values() for summary in summaries)
    return text.getvalue().encode()
