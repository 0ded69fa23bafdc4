"""Which images a worker of a run explains, in which order, until none is left."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.run.job import Job
from pipeline.run.sizes import targets_per_image
from pipeline.store.heartbeat import deaths
from pipeline.store.ledger import Ledger
from pipeline.store.quarantine import quarantine
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from pipeline.system.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerShards:
    """What a worker begins with: shards ``worker``, ``worker + workers``, ...; then it helps the others.

    Attributes:
        worker: Its number.
        workers: How many there are.
        late: Whether others were at work on this folder before.
        helps: Whether it does the others' shards too, once its own are done.
    """

    worker: int = 0
    workers: int = 1
    late: bool = False
    helps: bool = True

    @property
    def name(self) -> str:
        """Who this is among several, in words; of one alone, nothing."""
        return f"worker {self.worker} of {self.workers}: " if self.workers > 1 else ""

    def own(self, shards: Iterable[int]) -> list[int]:
        """The worker's own among some shards."""
        return [shard for shard in shards if shard % self.workers == self.worker]

    def pending(self, ledger: Ledger) -> Iterator[int]:
        """The shards to do, in order, each looked at when it is asked for."""
        if not self.helps:
            return (shard for shard in self.own(range(ledger.manifest.n_shards)) if not ledger.is_published(shard))
        return ledger.pending(self.worker, self.workers, late=self.late and self.workers == 1)


ONLY_WORKER = WorkerShards()


def remaining_images(
    job: Job, writer: Writer, ledger: Ledger, progress: Progress, *, share: WorkerShards, repair: Collection[int]
) -> Iterator[int | None]:
    """Numbers of the images that are left to do, shard by shard; of a shard that another publishes, no more.

    None stands where a batch must end: images at which processes died come last in their shard, each by itself.
    """
    targets = targets_per_image(job)
    published = sorted(ledger.published())
    progress.found(targets * sum(_size(ledger, shard) for shard in published))
    for shard in share.own(published):
        if shard in repair or job.config["retry_failed"]:
            again = writer.repair(shard) if shard in repair else writer.retry(shard)
            progress.found(-targets * len(again))
            yield from chain(*_dealt(job, writer, progress, again.tolist()))
    for shard in share.pending(ledger):
        left = writer.restore(shard)
        progress.found(targets * (_size(ledger, shard) - len(left)))
        dealt = _dealt(job, writer, progress, left.tolist())
        for images in dealt:
            if ledger.is_published(shard):
                skipped = chain(images, *dealt)
                progress.found(targets * sum(image is not None for image in skipped))
                break
            yield from images


def _size(ledger: Ledger, shard: int) -> int:
    first, end = ledger.manifest.range(shard)
    return end - first


def _dealt(job: Job, writer: Writer, progress: Progress, images: list[int]) -> Iterator[Sequence[int | None]]:
    """The images in groups, after those that have killed too often became failures."""
    dealt = quarantine(images, deaths(job.run))
    for failure in dealt.killed:
        log.warning("%s is given up: %s", os.fsdecode(job.index.paths[failure.index]), failure.error)
    if dealt.killed:
        writer.add(Rows({}, dealt.killed))
        progress.add(len(dealt.killed) * targets_per_image(job), len(dealt.killed))
    yield from batches(dealt.together, job.batch_size)
    yield from ([None, image, None] for image in dealt.alone)


def batches(numbers: Iterable[int | None], size: int) -> Iterator[list[int]]:
    """Cuts a row of numbers at each None and every ``size``, as late as possible."""
    batch: list[int] = []
    for number in numbers:
        batch += [] if number is None else [number]
        if len(batch) == size or (number is None and batch):
            yield batch
            batch = []
    if batch:
        yield batch
