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
from pipeline.engine.batching import FlatLine, out_of_memory
from pipeline.errors import UsageError
from pipeline.explain import explain
from pipeline.job import Job, lay_photographs
from pipeline.precision import measure_precision
from pipeline.progress import Progress
from pipeline.record import attributes, write_config
from pipeline.signals import StopRequest
from pipeline.size import shard_size, targets_per_image, warn_of_little_room
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze
from pipeline.store.schema import Rows
from pipeline.store.start import Start, deaths
from pipeline.store.suspects import deal
from pipeline.store.writer import Writer

log = logging.getLogger(__name__)

Item = TypeVar("Item")


def run(job: Job, stop: StopRequest, *, repair: Collection[int] = ()) -> None:
    """Explains all images of a job that its folder does not hold yet.

    Args:
        job: What to do.
        stop: Asked before every pass of the network.
        repair: Published shards to compute anew.

    Raises:
        UsageError: Memory does not suffice, whatever is halved.
        StoreError: The folder holds another job, or cannot be written.
        Stopped: A signal came; what was finished is saved.
    """
    lay_photographs(job)
    manifest = freeze(job.run, new_manifest(job))
    ledger, first = Ledger(job.run, manifest), write_config(job)
    published = sorted(ledger.published())
    warn_of_little_room(job, manifest, sum(np.diff(manifest.shards)[published]))
    job.method.on_chunk(stop.check)
    try:
        with stop.held():
            measure_precision(job, stop.check)
            _work(job, ledger, stop, repair=repair, late=not first)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        advice = "lower batch_size, num_workers, store.shard_size or data.transform.crop"
        raise UsageError(f"out of memory: {str(error).splitlines()[-1] if str(error) else advice}") from error


def _work(job: Job, ledger: Ledger, stop: StopRequest, *, repair: Collection[int], late: bool) -> None:
    manifest, store, clock = ledger.manifest, job.config["store"], Clock()
    line, chunks = FlatLine(job.batch_size, unit="image"), Chunks(job)
    writer = Writer(
        job.run,
        manifest,
        attributes=attributes(job),
        filter=store["filter"],
        checkpoint_seconds=store["checkpoint_seconds"],
    )
    with Start(job.run) as start, writer, Progress(len(manifest) * targets_per_image(job)) as progress:
        left = _left(job, writer, ledger, progress, repair=repair, late=late)
        for batch in clock.waiting("read", _decoded(job, start, manifest, _batches(left, job.batch_size))):
            with clock.spent("compute"), start.at(batch.index.tolist()):
                rows = _explained(job, batch, line)
            with clock.spent("write"):
                writer.add(rows)
            chunks.keep()
            start.did(len(batch.index) + len(batch.failures), len(rows.failures))
            progress.add(len(rows) + len(rows.failures) * targets_per_image(job), len(rows.failures))
            stop.check()
        with clock.spent("write"):
            writer.close()
    if writer.doubled:
        log.info("another process was at work: it may have computed %d of these images too", writer.doubled)
    log.info("%s; %s", progress.line(), clock)


def _decoded(job: Job, start: Start, manifest: Manifest, batches: Iterable[list[int]]) -> Iterator[Batch]:
    here = num_workers(job) == 0  # where a picture that the decoder dies of takes this process along
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        start.begins(batches) if here else batches,
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


def num_workers(job: Job) -> int:
    """Processes that decode: one for each core that this process may use, 8 at most."""
    asked = job.config["num_workers"]
    return min(8, len(os.sched_getaffinity(0))) if asked is None else int(asked)


def _explained(job: Job, batch: Batch, line: FlatLine) -> Rows:
    """The batch's rows; if memory does not suffice, fewer images at once."""
    answers = [Rows({}, batch.failures)]
    line.walk(len(batch.index), lambda start, stop: answers.append(explain(job, batch.part(start, stop))))
    return Rows.join(answers)


def _left(
    job: Job, writer: Writer, ledger: Ledger, progress: Progress, *, repair: Collection[int], late: bool
) -> Iterator[int | None]:
    """Numbers of the images that are left to do, shard by shard; None where a batch must end."""
    targets = targets_per_image(job)
    published = sorted(ledger.published())
    progress.found(targets * sum(np.diff(ledger.manifest.range(shard))[0] for shard in published))
    for shard in published:
        if shard in repair or job.config["retry_failed"]:
            again = writer.repair(shard) if shard in repair else writer.retry(shard)
            progress.found(-targets * len(again))
            yield from _dealt(job, writer, progress, again.tolist())
    for shard in ledger.pending(late=late):
        left = writer.restore(shard)
        progress.found(targets * int(np.diff(ledger.manifest.range(shard))[0] - len(left)))
        yield from _dealt(job, writer, progress, left.tolist())


def _dealt(job: Job, writer: Writer, progress: Progress, images: list[int]) -> Iterator[int | None]:
    """The images, those at which processes died last, each by itself; what killed too often becomes a failure."""
    dealt = deal(images, deaths(job.run))
    for failure in dealt.killed:
        log.warning("%s is given up: %s", os.fsdecode(job.index.paths[failure.index]), failure.error)
    if dealt.killed:
        writer.add(Rows({}, dealt.killed))
        progress.add(len(dealt.killed) * targets_per_image(job), len(dealt.killed))
    yield from dealt.together
    for image in dealt.alone:
        yield from (None, image, None)


def _batches(numbers: Iterable[int | None], size: int) -> Iterator[list[int]]:
    """Cuts a row of numbers at each None and every ``size``, as late as possible."""
    batch: list[int] = []
    for number in numbers:
        batch += [] if number is None else [number]
        if len(batch) == size or (number is None and batch):
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
