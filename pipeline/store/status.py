"""How far a run is, judged from its folder alone: while it goes on, and after everything died."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.store.heartbeat import HeartbeatRecord, read_heartbeats
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.shard_checkpoint import all_checkpoints


@dataclass(frozen=True)
class WorkerStatus:
    """A start that is at work, or died, or met an error.

    Attributes:
        worker: Its number.
        machine: The host and, in containers, its process namespace.
        process: Its number there.
        alive: Whether it is at work, as far as can be told from here.
        silent: Seconds since its last sign of life.
        images: How many it has computed.
        failed: How many of them could not be explained.
        rate: Images per second.
        shard: That it is, or was, at.
        at: Numbers of the images that it is, or died, at.
        error: What ended it, if an error did.
    """

    worker: int
    machine: str
    process: int
    alive: bool
    silent: float
    images: int
    failed: int
    rate: float
    shard: int | None
    at: list[int]
    error: str | None

    def __str__(self) -> str:
        did = f"{self.images} images, {self.failed} failed, {self.rate:.3g}/s"
        name = f"worker {self.worker} (process {self.process} on {self.machine.rpartition('.')[0] or self.machine})"
        ago = tqdm.format_interval(self.silent)
        if self.alive:
            where = "" if self.shard is None else f", at shard {self.shard}"
            return f"{name}: {did}{where}, sign of life {ago} ago"
        return f"{name}: {did}; {self.end}, last sign of life {ago} ago"

    @property
    def end(self) -> str:
        """How it ended, in words, of one that is over."""
        if self.error is not None:
            return f"ended by {self.error}"
        return f"died at images {_ranges(self.at)}" if self.at else "died"


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        shards: Of the run.
        published: How many of them are done.
        in_work: How many a living worker is at.
        begun: How many others have finished rows; these and those that nobody began are missing.
        failed_shards: How many published shards have images that could not be explained.
        images: Of the run.
        done: How many of them are in published shards.
        failed: How many of these could not be explained.
        rate: Images per second of all that are at work.
        seconds_left: At this rate; None if nobody is at work.
        workers: That are at work, died, or met an error.
        last_error: What ended the last of them that is over; None if none did.
    """

    shards: int
    published: int
    in_work: int
    begun: int
    failed_shards: int
    images: int
    done: int
    failed: int
    rate: float
    seconds_left: float | None
    workers: list[WorkerStatus]
    last_error: str | None

    @property
    def missing(self) -> int:
        """Shards that are neither done nor in work."""
        return self.shards - self.published - self.in_work

    def to_json(self) -> dict[str, object]:
        """Plain numbers, texts and lists."""
        return asdict(self) | {"missing": self.missing}

    def __str__(self) -> str:
        lines = [
            f"{self.published} of {self.shards} shards published, {self.in_work} in work, {self.missing} missing "
            f"({self.begun} of them begun), {self.failed_shards} with failures",
            f"{self.done} of {self.images} images done, {self.failed} of them failed; {self._pace()}",
            *map(str, self.workers),
        ]
        return "\n".join([*lines, f"last error: {self.last_error}"] if self.last_error else lines)

    def _pace(self) -> str:
        if self.published == self.shards:
            return "all is done"
        if not any(worker.alive for worker in self.workers):
            return "nobody is at work: the same command goes on"
        left = "?" if self.seconds_left is None else tqdm.format_interval(self.seconds_left)
        return f"{self.rate:.3g} images/s, {left} left"


def read_run_status(folder: Path) -> RunStatus:
    """Looks at a run's folder; nothing is written, nobody is asked.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Its manifest, or a summary, is damaged.
    """
    manifest = Manifest.open(folder)
    ledger = Ledger(folder, manifest)
    published = ledger.published()
    workers = [_worker(start, manifest) for start in read_heartbeats(folder)]
    in_work = {worker.shard for worker in workers if worker.alive and worker.shard is not None} - published
    begun = {shard for shard, _ in all_checkpoints(folder)} - published - in_work
    failures = [ledger.summary(shard)["failures"] for shard in sorted(published)]
    done = int(np.diff(manifest.shards)[sorted(published)].sum())
    rate = sum(worker.rate for worker in workers if worker.alive)
    over = sorted((worker for worker in workers if not worker.alive), key=lambda worker: worker.silent)
    return RunStatus(
        shards=manifest.n_shards,
        published=len(published),
        in_work=len(in_work),
        begun=len(begun),
        failed_shards=sum(count > 0 for count in failures),
        images=len(manifest),
        done=done,
        failed=sum(failures),
        rate=rate,
        seconds_left=(len(manifest) - done) / rate if rate else None,
        workers=workers,
        last_error=f"worker {over[0].worker} {over[0].end}" if over else None,
    )


def _worker(start: HeartbeatRecord, manifest: Manifest) -> WorkerStatus:
    facts = start.state
    seconds = max(start.last_seen - facts.began, 1e-3)
    last = facts.last
    return WorkerStatus(
        worker=facts.worker,
        machine=start.machine,
        process=start.process,
        alive=start.alive,
        silent=max(0.0, time.time() - start.last_seen),
        images=facts.images,
        failed=facts.failed,
        rate=facts.images / seconds,
        shard=None if last is None else int(np.searchsorted(manifest.shards, last, side="right")) - 1,
        at=facts.at,
        error=facts.error,
    )


def _ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in words: 3 to 5, 9."""
    values = np.unique(list(numbers))
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
