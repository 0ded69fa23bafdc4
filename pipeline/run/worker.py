"""Work of one worker of a run: the images that it explains, in order, until none is pending."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.run.job import Job
from pipeline.run.shard_sizes import targets_per_image
from pipeline.store.heartbeat import images_at_deaths
from pipeline.store.ledger import Ledger
from pipeline.store.quarantine import plan_quarantine
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from pipeline.system.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerShards:
    """Shards that a worker starts with: ``worker``, ``worker + workers``, ...; then it helps the others.

    Attributes:
        worker: Its number, from 0.
        workers: Number of workers.
        late: True if others have worked on this folder before.
        helps: True if it computes the others' shards too, once its own are published.
    """

    worker: int = 0
    workers: int = 1
    late: bool = False
    helps: bool = True

    @property
    def name(self) -> str:
        """Prefix of its log lines; empty for a single worker."""
        return f"worker {self.worker} of {self.workers}: " if self.workers > 1 else ""

    def own(self, shards: Iterable[int]) -> list[int]:
        """The worker's own ones of some shards."""
        return [shard for shard in shards if shard % self.workers == self.worker]

    def pending(self, ledger: Ledger) -> Iterator[int]:
        """Unpublished shards, in order; lazy, so that each is checked just before it is computed."""
        if not self.helps:
            return (shard for shard in self.own(range(ledger.manifest.n_shards)) if not ledger.is_published(shard))
        return ledger.pending(self.worker, self.workers, late=self.late and self.workers == 1)


ONLY_WORKER = WorkerShards()


def pending_images(
    job: Job, writer: Writer, ledger: Ledger, progress: Progress, *, share: WorkerShards, repair: Collection[int]
) -> Iterator[int | None]:
    """Numbers of the images to explain, shard by shard; the rest of a shard is skipped once another publishes it.

    None marks the end of a batch: images at which processes died come last in their shard, each in a batch of its own.
    """
    targets = targets_per_image(job)
    published = sorted(ledger.published())
    progress.add_existing(targets * sum(_size(ledger, shard) for shard in published))
    for shard in share.own(published):
        if shard in repair or job.options.retry_failed:
            again = writer.repair(shard) if shard in repair else writer.retry(shard)
            progress.add_existing(-targets * len(again))
            yield from chain(*_quarantined(job, writer, progress, again.tolist()))
    for shard in share.pending(ledger):
        left = writer.restore(shard)
        progress.add_existing(targets * (_size(ledger, shard) - len(left)))
        groups = _quarantined(job, writer, progress, left.tolist())
        for images in groups:
            if ledger.is_published(shard):
                skipped = chain(images, *groups)
                progress.add_existing(targets * sum(image is not None for image in skipped))
                break
            yield from images


def _size(ledger: Ledger, shard: int) -> int:
    first, end = ledger.manifest.range(shard)
    return end - first


def _quarantined(job: Job, writer: Writer, progress: Progress, images: list[int]) -> Iterator[Sequence[int | None]]:
    """The images in groups, without the quarantined ones, which become failures."""
    plan = plan_quarantine(images, images_at_deaths(job.run))
    for failure in plan.quarantined:
        log.warning("%s is quarantined: %s", os.fsdecode(job.index.paths[failure.index]), failure.error)
    if plan.quarantined:
        writer.add(Rows({}, plan.quarantined))
        progress.add(len(plan.quarantined) * targets_per_image(job), len(plan.quarantined))
    yield from batches(plan.together, job.batch_size)
    yield from ([None, image, None] for image in plan.alone)


def batches(numbers: Iterable[int | None], size: int) -> Iterator[list[int]]:
    """Splits a sequence of numbers at each None and after every ``size``."""
    batch: list[int] = []
    for number in numbers:
        batch += [] if number is None else [number]
        if len(batch) == size or (number is None and batch):
            yield batch
            batch = []
    if batch:
        yield batch
