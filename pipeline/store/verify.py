"""Is all of a run's store there, once, and as it was written?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import StoreError
from pipeline.store.atomic import is_temporary
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.run_files import SHARDS, read_file, shard_of_part, shard_path, summary_path
from pipeline.store.schema import Rows, canonical_json
from pipeline.store.shard import unseal
from pipeline.store.shard_summary import ShardSummary, describe, is_current


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        text: The file, what is wrong with it, and what helps.
        shard: Number of the shard to compute again; None if something else helps.
    """

    text: str
    shard: int | None = None


@dataclass(frozen=True)
class Verification:
    """What a look at every byte of a run found.

    Attributes:
        shards: How many shards the run has.
        published: How many of them are done.
        rows: Explanations in them.
        failures: Images in them that could not be explained.
        problems: Damaged, missing, duplicate and unknown things.
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
    def whole(self) -> bool:
        """Whether all that is published is as it should be."""
        return not self.problems

    @property
    def damaged_shards(self) -> list[int]:
        """Numbers of the shards to compute again."""
        return sorted({problem.shard for problem in self.problems if problem.shard is not None})


def verify(run: Path) -> Verification:
    """Reads all of a run's store.

    Raises:
        UsageError: The folder is no run's.
        StoreError: The manifest is damaged.
    """
    ledger = Ledger(run, Manifest.open(run))
    ledger.manifest.labels(slice(None))  # and with them all that it says of its images
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
        problems += _summary_problems(summary, describe(rows, ledger.manifest), summary_path(run, shard))
    return Verification(len(numbers), len(published), n_rows, n_failures, problems)


def _row_problems(rows: Rows, extent: tuple[int, int]) -> Iterator[str]:
    """What is wrong with the rows of a file that is as it was written."""
    images = np.arange(*extent)
    foreign = np.setdiff1d(rows.images, images)
    if foreign.size:
        yield f"rows of images of another shard: {_named(foreign)}"
        return
    index = rows.columns["index"] if len(rows) else np.empty(0, np.int64)
    failed = np.array([failure.index for failure in rows.failures], np.int64)
    n_rows, n_failed = (np.bincount(part - extent[0], minlength=len(images)) for part in (index, failed))
    usual = np.bincount(n_rows[n_rows > 0]).argmax() if len(index) else 1  # as many as targets
    more = (n_rows > usual) | (n_failed > 1) | ((n_rows > 0) & (n_failed > 0))
    less = (n_rows < usual) & (n_failed == 0)
    for what, which in (("duplicate rows", more), ("missing rows", less)):
        if which.any():
            yield f"{what}: {_named(images[which])}"
    if np.any(np.diff(index) < 0):
        yield "rows are not in the order of the images"
    finite = np.array([np.isfinite(row).all() for row in rows.columns["attribution"]] if len(rows) else [], bool)
    if not finite.all():
        yield f"maps that are not finite: {_named(index[~finite])}"


def _named(images: np.ndarray) -> str:
    listed = ", ".join(str(image) for image in images[:5])
    return f"images {listed}" + (f" and {len(images) - 5} more" if len(images) > 5 else "")


def _summary_problems(stored: ShardSummary | None, described: ShardSummary, path: Path) -> Iterator[Problem]:
    if stored is None:
        yield Problem(f"{path}: missing; task=finish writes it")
    elif not is_current(stored):
        yield Problem(f"{path}: written by an older version; task=finish writes it anew")
    elif {name: stored.get(name) for name in described} != json.loads(canonical_json(described)):
        yield Problem(f"{path}: does not say what its shard holds; remove it, task=finish writes it anew")


def _file_problems(ledger: Ledger) -> Iterator[Problem]:
    shards, known = range(ledger.manifest.n_shards), set()
    for shard in shards:
        summary = summary_path(ledger.run, shard)
        known |= {summary, shard_path(ledger.run, shard)}
        if summary.exists() and not ledger.is_published(shard):
            yield Problem(f"{summary}: its shard is missing; the same command computes it again")
    for path in sorted((ledger.run / SHARDS).rglob("*")):
        number = shard_of_part(path)
        if number is not None and number in shards and path.parent == shard_path(ledger.run, number).parent:
            yield from _part_problems(path, ledger.run)
        elif path.is_file() and path not in known and not is_temporary(path.name):
            yield Problem(f"{path}: unknown file")


def _part_problems(path: Path, run: Path) -> Iterator[Problem]:
    try:
        if unseal(read_file(path, run)) is None:
            yield Problem(f"{path}: damaged; the next start removes it")
    except FileNotFoundError:  # its shard has been published meanwhile
        return
    except StoreError as error:
        yield Problem(str(error))
