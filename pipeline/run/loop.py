"""The main loop: for each shard that is left, stream its images, explain them, write the rows."""

import logging
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pipeline.data.stream import Batch, stream
from pipeline.engine.chunked_evaluator import ChunkedEvaluator, is_out_of_memory
from pipeline.errors import UsageError
from pipeline.run.chunk_cache import ChunkSizeCache
from pipeline.run.explain import explain
from pipeline.run.job import Job, lay_photographs
from pipeline.run.precision import measure_precision
from pipeline.run.provenance import attributes, write_config
from pipeline.run.sizes import shard_starts, targets_per_image, warn_if_disk_too_small
from pipeline.run.worker import ONLY_WORKER, WorkerShards, batches, remaining_images
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from pipeline.system.configuration import Config
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

Item = TypeVar("Item")


def run(job: Job, stop: StopRequest, *, share: WorkerShards = ONLY_WORKER, repair: Collection[int] = ()) -> None:
    """Explains all images of a job that its folder does not hold yet; a worker begins with its own.

    Args:
        job: What to do.
        stop: Asked before every pass of the network.
        share: Which worker of how many this is.
        repair: Published shards to compute anew.

    Raises:
        UsageError: Memory does not suffice, whatever is halved.
        StoreError: The folder holds another job, or cannot be written.
        Stopped: A signal came; what was finished is saved.
    """
    ledger, first = start(job)
    job.method.on_chunk(stop.check)
    with report_out_of_memory(), stop.held():
        if share.worker == 0:
            measure_precision(job, stop.check)
        _work(job, ledger, stop, share=replace(share, late=not first), repair=repair)


@contextmanager
def report_out_of_memory() -> Iterator[None]:
    """Says it in one line when memory does not suffice.

    Raises:
        UsageError: It does not, whatever was halved.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = "lower batch_size, num_workers, store.shard_size or data.transform.crop"
        raise UsageError(f"out of memory: {str(error).splitlines()[-1] if str(error) else advice}") from error


def start(job: Job) -> tuple[Ledger, bool]:
    """Freezes what a job is about in its run's folder, where it is not frozen yet.

    Returns:
        The ledger, and whether this start is the first.

    Raises:
        StoreError: The folder holds another job, or cannot be written.
    """
    lay_photographs(job)
    manifest = freeze(job.run, new_manifest(job))
    ledger, first = Ledger(job.run, manifest), write_config(job)
    published = sorted(ledger.published())
    warn_if_disk_too_small(job, manifest, sum(np.diff(manifest.shards)[published]))
    return ledger, first


def _work(job: Job, ledger: Ledger, stop: StopRequest, *, share: WorkerShards, repair: Collection[int]) -> None:
    manifest, store, clock = ledger.manifest, job.config["store"], StageTimes()
    evaluator, chunks = ChunkedEvaluator(job.batch_size, unit="image"), ChunkSizeCache(job)
    writer = Writer(
        job.run,
        manifest,
        attributes=attributes(job),
        filter=store["filter"],
        checkpoint_seconds=store["checkpoint_seconds"],
    )
    with (
        Heartbeat(job.run, share.worker) as begun,
        writer,
        Progress(len(manifest) * targets_per_image(job), name=share.name) as progress,
    ):
        left = remaining_images(job, writer, ledger, progress, share=share, repair=repair)
        for batch in clock.waiting("read", _decoded(job, begun, manifest, batches(left, job.batch_size))):
            with clock.spent("compute"), begun.at(batch.index.tolist()):
                rows = _explained(job, batch, evaluator)
            with clock.spent("write"):
                writer.add(rows)
            chunks.keep()
            begun.did(len(batch.index) + len(batch.failures), len(rows.failures))
            progress.add(len(rows) + len(rows.failures) * targets_per_image(job), len(rows.failures))
            stop.check()
        with clock.spent("write"):
            writer.close()
    if writer.doubled:
        log.info("another process was at work: it may have computed %d of these images too", writer.doubled)
    log.info("%s; %s", progress.line(), clock)


def _decoded(job: Job, begun: Heartbeat, manifest: Manifest, numbers: Iterable[list[int]]) -> Iterator[Batch]:
    here = num_workers(job.config) == 0  # where a picture that the decoder dies of takes this process along
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        begun.begins(numbers) if here else numbers,
        num_workers=num_workers(job.config),
        pin_memory=job.device.type == "cuda",
    )


def new_manifest(job: Job) -> Manifest:
    """The manifest that a first start freezes."""
    return Manifest(
        root=os.fsencode(job.root),
        paths=job.index.paths,
        label=job.labels,
        shards=shard_starts(job),
        identity=job.identity,
        class_names=job.classifier.class_names,
        preprocessing=job.classifier.preprocessing.to_json(),
    )


def num_workers(config: Config) -> int:
    """Processes that decode: one for each core that this process may use, 8 at most."""
    asked = config["num_workers"]
    return min(8, len(os.sched_getaffinity(0))) if asked is None else int(asked)


def _explained(job: Job, batch: Batch, evaluator: ChunkedEvaluator) -> Rows:
    """The batch's rows; if memory does not suffice, fewer images at once."""
    answers = [Rows({}, batch.failures)]
    evaluator.evaluate(len(batch.index), lambda start, stop: answers.append(explain(job, batch.part(start, stop))))
    return Rows.join(answers)


class StageTimes:
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
