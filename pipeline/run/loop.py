"""The main loop: for each pending shard, stream its images, explain them, write the rows."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pipeline.data.batch import Batch
from pipeline.data.stream import stream
from pipeline.engine.chunked_evaluator import ChunkedEvaluator, is_out_of_memory
from pipeline.errors import UsageError
from pipeline.run.chunk_size_cache import ChunkSizeCache
from pipeline.run.explain import explain_batch
from pipeline.run.job import Job, write_photographs
from pipeline.run.precision import measure_precision
from pipeline.run.provenance import shard_attributes, write_config
from pipeline.run.shard_sizes import shard_starts, targets_per_image, warn_if_disk_too_small
from pipeline.run.stage_times import StageTimes
from pipeline.run.worker import ONLY_WORKER, WorkerShards, batches, pending_images
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)


def run_job(job: Job, stop: StopRequest, *, share: WorkerShards = ONLY_WORKER, repair: Collection[int] = ()) -> None:
    """Explains the images of a job that are not in its folder yet.

    Args:
        job: The job.
        stop: Checked before every forward pass.
        share: The shards that this worker starts with.
        repair: Published shards to compute again.

    Raises:
        UsageError: Out of memory, even with the smallest chunk.
        StoreError: The folder is another job's, or cannot be written.
        Stopped: A signal came; finished rows are saved.
    """
    ledger, first = freeze_run(job)
    job.method.on_chunk(stop.check)
    with out_of_memory_as_usage_error(), stop.deferred():
        if share.worker == 0:
            measure_precision(job, stop.check)
        _work(job, ledger, stop, share=replace(share, late=not first), repair=repair)


@contextmanager
def out_of_memory_as_usage_error() -> Iterator[None]:
    """Turns running out of memory, on the host or the device, into one line for the user.

    Raises:
        UsageError: Out of memory, even with the smallest chunk.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = "lower batch_size, num_workers, store.shard_size or data.transform.crop"
        raise UsageError(f"out of memory: {str(error).splitlines()[-1] if str(error) else advice}") from error


def freeze_run(job: Job) -> tuple[Ledger, bool]:
    """Writes manifest and config.yaml of a job into its run's folder, unless an earlier start did.

    Returns:
        The ledger, and True if this start is the first.

    Raises:
        StoreError: The folder is another job's, or cannot be written.
    """
    write_photographs(job)
    manifest = freeze_manifest(job.run, new_manifest(job))
    ledger, first = Ledger(job.run, manifest), write_config(job)
    published = sorted(ledger.published())
    warn_if_disk_too_small(job, manifest, sum(np.diff(manifest.shards)[published]))
    return ledger, first


def _work(job: Job, ledger: Ledger, stop: StopRequest, *, share: WorkerShards, repair: Collection[int]) -> None:
    manifest, store, times = ledger.manifest, job.options.store, StageTimes()
    evaluator, chunk_sizes = (
        ChunkedEvaluator(job.batch_size, unit="image", device=lambda: job.device),
        ChunkSizeCache(job),
    )
    writer = Writer(
        job.run,
        manifest,
        attributes=shard_attributes(job),
        filter=store.filter,
        checkpoint_seconds=store.checkpoint_seconds,
    )
    with (
        Heartbeat(job.run, share.worker) as heartbeat,
        writer,
        Progress(len(manifest) * targets_per_image(job), name=share.name) as progress,
    ):
        pending = pending_images(job, writer, ledger, progress, share=share, repair=repair)
        for batch in times.measure_wait("read", _decoded(job, heartbeat, manifest, batches(pending, job.batch_size))):
            with times.measure("compute"), heartbeat.in_work(batch.index.tolist()):
                rows = _explained(job, batch, evaluator)
            with times.measure("write"):
                writer.add(rows)
            chunk_sizes.save()
            heartbeat.count(len(batch.index) + len(batch.failures), len(rows.failures))
            progress.add(len(rows) + len(rows.failures) * targets_per_image(job), len(rows.failures))
            stop.check()
        with times.measure("write"):
            writer.close()
    if writer.computed_twice:
        log.info("another process was at work: up to %d of these images were computed twice", writer.computed_twice)
    log.info("%s; %s", progress.line(), times)


def _decoded(job: Job, heartbeat: Heartbeat, manifest: Manifest, numbers: Iterable[list[int]]) -> Iterator[Batch]:
    # Without decoding processes, an image that crashes the decoder ends this process, so the heartbeat names it first.
    here = job.options.decoding_processes == 0
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        heartbeat.begin_batches(numbers) if here else numbers,
        num_workers=job.options.decoding_processes,
        pin_memory=job.device.type == "cuda",
    )


def new_manifest(job: Job) -> Manifest:
    """Manifest that the first start freezes."""
    return Manifest(
        root=os.fsencode(job.root),
        paths=job.index.paths,
        label=job.labels,
        shards=shard_starts(job),
        identity=job.identity,
        class_names=job.classifier.class_names,
        preprocessing=job.classifier.preprocessing.to_json(),
    )


def _explained(job: Job, batch: Batch, evaluator: ChunkedEvaluator) -> Rows:
    """The batch's rows; after running out of memory, explained in smaller parts."""
    parts = [Rows({}, batch.failures)]
    evaluator.evaluate(len(batch.index), lambda start, stop: parts.append(explain_batch(job, batch.part(start, stop))))
    return Rows.concatenate(parts)
