"""Verification of a run's store: every byte is read and compared with its checksum, every row with the manifest.

Finds damaged, missing, duplicate and unknown files and rows; ``task.repair=true`` computes the damaged shards again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import StoreError
from pipeline.store.atomic import is_temporary
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.run_files import SHARDS, shard_path, summary_path
from pipeline.store.schema import Rows, canonical_json
from pipeline.store.shard_checkpoint import is_damaged, shard_of_checkpoint
from pipeline.store.shard_summary import ShardSummary, is_current, summarize_rows


@dataclass(frozen=True)
class Problem:
    """A file or rows that are damaged, missing, duplicate or unknown.

    Attributes:
        text: The file, the problem, and how to solve it.
        shard: Number of the shard to compute again; None if another step solves it.
    """

    text: str
    shard: int | None = None


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        shards: Number of shards of the run.
        published: Number of these that are published.
        rows: Number of explanations in them.
        failures: Number of images in them that could not be explained.
        problems: Damaged, missing, duplicate and unknown files and rows.
    """

    shards: int
    published: int
    rows: int
    failures: int
    problems: list[Problem]

    def __str__(self) -> str:
        done = f"{self.published} of {self.shards} shards, {self.rows} explanations, {self.failures} failures"
        return "\n".join([f"{done}: {len(self.problems)} problems", *(problem.text for problem in self.problems)])

    @property
    def is_intact(self) -> bool:
        """True if there is no problem."""
        return not self.problems

    @property
    def damaged_shards(self) -> list[int]:
        """Numbers of the shards to compute again."""
        return sorted({problem.shard for problem in self.problems if problem.shard is not None})


def verify(run: Path) -> Verification:
    """Verify all files of a run's store; work that is still to be done is no problem.

    Raises:
        UsageError: The folder is not a run's.
        StoreError: The manifest is damaged.
    """
    ledger = Ledger(run, Manifest.open(run))
    ledger.manifest.labels(slice(None))  # checks the checksums of all pages of the manifest
    numbers = range(ledger.manifest.n_shards)
    problems = [*_file_problems(ledger)]
    published = [shard for shard in numbers if ledger.is_published(shard)]
    n_rows = n_failures = 0
    for shard in published:
        try:
            summary, rows = ledger.stored_summary(shard), ledger.rows(shard)
        except StoreError as error:
            problems.append(Problem(str(error), shard))
            continue
        n_rows += len(rows)
        n_failures += len(rows.failures)
        path = shard_path(run, shard)
        problems += [Problem(f"{path}: {text}", shard) for text in _row_problems(rows, ledger.manifest.range(shard))]
        problems += _summary_problems(summary, rows, ledger.manifest, summary_path(run, shard))
    return Verification(len(numbers), len(published), n_rows, n_failures, problems)


def _row_problems(rows: Rows, extent: tuple[int, int]) -> Iterator[str]:
    """Compare the rows of a file, whose checksum matches, with the shard's range of images."""
    images = np.arange(*extent)
    foreign = np.setdiff1d(rows.images, images)
    if foreign.size:
        yield f"rows of images of another shard: {_listed(foreign)}"
        return
    index = rows.columns["index"] if len(rows) else np.empty(0, np.int64)
    failed = np.array([failure.index for failure in rows.failures], np.int64)
    n_rows, n_failed = (np.bincount(part - extent[0], minlength=len(images)) for part in (index, failed))
    targets = np.bincount(n_rows[n_rows > 0]).argmax() if len(index) else 1  # most images have all their rows
    duplicate = (n_rows > targets) | (n_failed > 1) | ((n_rows > 0) & (n_failed > 0))
    missing = (n_rows < targets) & (n_failed == 0)
    for problem, mask in (("duplicate rows", duplicate), ("missing rows", missing)):
        if mask.any():
            yield f"{problem}: {_listed(images[mask])}"
    if np.any(np.diff(index) < 0):
        yield "rows are not in the order of the images"
    finite = np.array([np.isfinite(row).all() for row in rows.columns["attribution"]] if len(rows) else [], bool)
    if not finite.all():
        yield f"maps that are not finite: {_listed(index[~finite])}"


def _listed(images: np.ndarray) -> str:
    first = ", ".join(str(image) for image in images[:5])
    return f"images {first}" + (f" and {len(images) - 5} more" if len(images) > 5 else "")


def _summary_problems(stored: ShardSummary | None, rows: Rows, manifest: Manifest, path: Path) -> Iterator[Problem]:
    expected = summarize_rows(rows, manifest)
    if stored is None:
        yield Problem(f"{path}: missing; task=finish writes it")
    elif not is_current(stored, manifest):
        yield Problem(f"{path}: written by an older version; task=finish writes it again")
    elif {name: stored.get(name) for name in expected} != json.loads(canonical_json(expected)):
        yield Problem(f"{path}: does not match the rows of its shard; remove it, task=finish writes it again")


def _file_problems(ledger: Ledger) -> Iterator[Problem]:
    shards, known = range(ledger.manifest.n_shards), set()
    for shard in shards:
        summary = summary_path(ledger.run, shard)
        known |= {summary, shard_path(ledger.run, shard)}
        if summary.exists() and not ledger.is_published(shard):
            yield Problem(f"{summary}: its shard is missing; the same command computes it again")
    for path in sorted((ledger.run / SHARDS).rglob("*")):
        number = shard_of_checkpoint(path)
        if number is not None and number in shards and path.parent == shard_path(ledger.run, number).parent:
            yield from _checkpoint_problems(path, ledger.run)
        elif path.is_file() and path not in known and not is_temporary(path.name):
            yield Problem(f"{path}: unknown file")


def _checkpoint_problems(path: Path, run: Path) -> Iterator[Problem]:
    try:
        if is_damaged(path, run):
            yield Problem(f"{path}: damaged; the next start of the run removes it")
    except FileNotFoundError:  # another process has published its shard and removed it meanwhile
        return
    except StoreError as error:
        yield Problem(str(error))
