"""Status of a run, from its folder alone: while workers are alive, and after all have died."""

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
    """A worker that is alive, died, or ended with an error, by its heartbeat.

    Attributes:
        worker: Its number.
        machine: The host and, in containers, its process namespace.
        process: Its process id there.
        alive: True if it is at work, as far as this machine can tell.
        silent: Seconds since its last heartbeat.
        images: Number of images that it has computed.
        failed: Number of these that could not be explained.
        rate: Throughput, images per second.
        shard: Its current or last shard.
        at: Numbers of the images that are in work, or were when it died.
        error: The error that ended it, or None.
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
        work = f"{self.images} images, {self.failed} failed, {self.rate:.3g}/s"
        name = f"worker {self.worker} (process {self.process} on {self.machine.rpartition('.')[0] or self.machine})"
        ago = tqdm.format_interval(self.silent)
        if self.alive:
            where = "" if self.shard is None else f", at shard {self.shard}"
            return f"{name}: {work}{where}, heartbeat {ago} ago"
        return f"{name}: {work}; {self.end}, last heartbeat {ago} ago"

    @property
    def end(self) -> str:
        """The end of a worker that is not alive, as text."""
        if self.error is not None:
            return f"ended by {self.error}"
        return f"died at images {_ranges(self.at)}" if self.at else "died"


@dataclass(frozen=True)
class RunStatus:
    """Status of a run: shards, images, throughput, workers.

    Attributes:
        shards: Number of shards.
        published: Number of published shards.
        in_work: Number of shards that a living worker computes.
        begun: Number of other shards with checkpoints; they count as missing, as do those without any row.
        failed_shards: Number of published shards with images that could not be explained.
        images: Number of images.
        done: Number of images in published shards.
        failed: Number of these that could not be explained.
        rate: Throughput of all living workers, images per second.
        seconds_left: At this rate; None if no worker is alive.
        workers: Those that are alive, died, or ended with an error.
        last_error: The end of the worker that ended last; None if none did.
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
        """Number of shards that are neither published nor in work."""
        return self.shards - self.published - self.in_work

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
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
            return "complete"
        if not any(worker.alive for worker in self.workers):
            return "no worker is alive: the same command resumes"
        left = "?" if self.seconds_left is None else tqdm.format_interval(self.seconds_left)
        return f"{self.rate:.3g} images/s, {left} left"


def read_run_status(folder: Path) -> RunStatus:
    """Reads the status of a run from its folder; writes nothing.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Its manifest, or a summary, is damaged.
    """
    manifest = Manifest.open(folder)
    ledger = Ledger(folder, manifest)
    published = ledger.published()
    workers = [_worker_status(heartbeat, manifest) for heartbeat in read_heartbeats(folder)]
    in_work = {worker.shard for worker in workers if worker.alive and worker.shard is not None} - published
    begun = {shard for shard, _ in all_checkpoints(folder)} - published - in_work
    failures = [ledger.summary(shard)["failures"] for shard in sorted(published)]
    done = int(np.diff(manifest.shards)[sorted(published)].sum())
    rate = sum(worker.rate for worker in workers if worker.alive)
    ended = sorted((worker for worker in workers if not worker.alive), key=lambda worker: worker.silent)
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
        last_error=f"worker {ended[0].worker} {ended[0].end}" if ended else None,
    )


def _worker_status(heartbeat: HeartbeatRecord, manifest: Manifest) -> WorkerStatus:
    state = heartbeat.state
    seconds = max(heartbeat.last_seen - state.began, 1e-3)  # never 0
    last = state.last
    return WorkerStatus(
        worker=state.worker,
        machine=heartbeat.machine,
        process=heartbeat.process,
        alive=heartbeat.alive,
        silent=max(0.0, time.time() - heartbeat.last_seen),
        images=state.images,
        failed=state.failed,
        rate=state.images / seconds,
        shard=None if last is None else int(np.searchsorted(manifest.shards, last, side="right")) - 1,
        at=state.at,
        error=state.error,
    )


def _ranges(numbers: Iterable[int]) -> str:
    """Format whole numbers as ranges: 3 to 5, 9."""
    values = np.unique(list(numbers))
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
