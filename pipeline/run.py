"""The main loop: for each shard that is left, stream its images, explain them, write the rows."""

import logging
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from pipeline.chunks import Chunks
from pipeline.data.stream import Batch, stream
from pipeline.errors import UsageError
from pipeline.explain import explain
from pipeline.job import Job, lay_photographs
from pipeline.precision import measure_precision
from pipeline.progress import Progress
from pipeline.record import attributes, write_config
from pipeline.signals import StopRequest
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer

log = logging.getLogger(__name__)

Item = TypeVar("Item")
SHARD_BYTES = 256e6
SHARDS_PER_WORKER = 100


def run(job: Job, stop: StopRequest, *, repair: Collection[int] = ()) -> None:
    """Explains all images of a job that its folder does not hold yet.

    Args:
        job: What to do.
        stop: Asked before every pass of the network.
        repair: Published shards to compute anew.

    Raises:
        UsageError: Not even one point fits into memory.
        StoreError: The folder holds another job, or cannot be written.
        Stopped: A signal came; what was finished is saved.
    """
    lay_photographs(job)
    manifest = freeze(job.run, new_manifest(job))
    write_config(job)
    measure_precision(job, stop.check)
    job.method.on_chunk(stop.check)
    chunks = Chunks(job)
    ledger, clock = Ledger(job.run, manifest), Clock()
    store = job.config["store"]
    writer = Writer(
        job.run,
        manifest,
        attributes=attributes(job),
        filter=store["filter"],
        checkpoint_seconds=store["checkpoint_seconds"],
    )
    with writer, Progress(len(manifest) * targets_per_image(job)) as progress:
        batches = _batches(_left(job, writer, ledger, progress, repair), job.batch_size)
        try:
            for batch in clock.waiting("read", _decoded(job, manifest, batches)):
                with clock.spent("compute"):
                    rows = _explained(job, batch)
                with clock.spent("write"):
                    writer.add(rows)
                chunks.keep()
                progress.add(len(rows) + len(rows.failures) * targets_per_image(job), len(rows.failures))
                stop.check()
        except RuntimeError:  # of a decoding process that got the signal too
            stop.check()
            raise
        with clock.spent("write"):
            writer.close()
    log.info("%s; %s", progress.line(), clock)


def _decoded(job: Job, manifest: Manifest, batches: Iterable[list[int]]) -> Iterator[Batch]:
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        batches,
        num_workers=num_workers(job),
        pin_memory=job.device.type == "cuda",
    )


def new_manifest(job: Job) -> Manifest:
    """The manifest that a first start freezes."""
    return Manifest(
        root=os.fsencode(job.root),
        paths=job.index.paths,
        label=job.labels,
        shards=np.append(np.arange(0, len(job.labels), shard_size(job)), len(job.labels)).astype(np.int64),
        identity=job.identity,
        class_names=job.classifier.class_names,
        preprocessing=job.classifier.preprocessing.to_json(),
    )


def shard_size(job: Job) -> int:
    """Images in a shard: few enough bytes, and enough shards to share, but no less than a batch."""
    if job.config["store"]["shard_size"] is not None:
        return max(1, int(job.config["store"]["shard_size"]))
    shared = -(-len(job.labels) // (SHARDS_PER_WORKER * job.config["launch"]["workers"]))
    return int(max(1, min(SHARD_BYTES // row_bytes(job), max(shared, job.batch_size))))


def row_bytes(job: Job) -> int:
    """Bytes that an image takes in the store."""
    width = {"float16": 2, "float32": 4, "float64": 8}[job.config["store"]["dtype"]]
    others = 4 * job.classifier.n_outputs + 64
    return targets_per_image(job) * (width * int(np.prod(job.geometry.native_shape)) + others)


def targets_per_image(job: Job) -> int:
    """Explanations of each image."""
    target = job.config["target"]
    if isinstance(target, list):
        return len(target)
    return int(target[3:]) if isinstance(target, str) and target.startswith("top") else 1


def num_workers(job: Job) -> int:
    """Processes that decode: one for each core that this process may use, 8 at most."""
    asked = job.config["num_workers"]
    return min(8, len(os.sched_getaffinity(0))) if asked is None else int(asked)


def _explained(job: Job, batch: Batch) -> Rows:
    try:
        return explain(job, batch)
    except MemoryError as error:
        raise UsageError(str(error)) from error


def _left(job: Job, writer: Writer, ledger: Ledger, progress: Progress, repair: Collection[int]) -> Iterator[int]:
    """Numbers of the images that are left to do, shard by shard."""
    targets = targets_per_image(job)
    published = sorted(ledger.published())
    progress.found(targets * sum(np.diff(ledger.manifest.range(shard))[0] for shard in published))
    for shard in published:
        if shard in repair or job.config["retry_failed"]:
            again = writer.repair(shard) if shard in repair else writer.retry(shard)
            progress.found(-targets * len(again))
            yield from again.tolist()
    for shard in ledger.pending():
        left = writer.restore(shard)
        progress.found(targets * int(np.diff(ledger.manifest.range(shard))[0] - len(left)))
        yield from left.tolist()


def _batches(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Cuts a row of numbers every ``size``, as late as possible."""
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Clock:
    """Adds up where the time goes."""

    def __init__(self) -> None:
        self.seconds = {"read": 0.0, "compute": 0.0, "write": 0.0}

    @contextmanager
    def spent(self, part: str) -> Iterator[None]:
        """Counts the time inside the context."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - began

    def waiting(self, part: str, items: Iterable[Item]) -> Iterator[Item]:
        """Counts the time that the items let one wait."""
        iterator = iter(items)
        while True:
            with self.spent(part):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def __str__(self) -> str:
        whole = sum(self.seconds.values()) or 1.0
        parts = (f"{part} {seconds:.1f} s ({seconds / whole:.0%})" for part, seconds in self.seconds.items())
        return "waited for " + ", ".join(parts)
