"""Which images a worker of a run explains, in which order, until none is left."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.job import Job
from pipeline.progress import Progress
from pipeline.size import targets_per_image
from pipeline.store.ledger import Ledger
from pipeline.store.writer import Writer


@dataclass(frozen=True)
class Share:
    """What a worker begins with: shards ``worker``, ``worker + workers``, ...; then it helps the others.

    Attributes:
        worker: Its number.
        workers: How many there are.
        late: Whether others were at work on this folder before.
    """

    worker: int = 0
    workers: int = 1
    late: bool = False

    @property
    def name(self) -> str:
        """Who this is among several, in words; of one alone, nothing."""
        return f"worker {self.worker} of {self.workers}: " if self.workers > 1 else ""

    def own(self, shards: Iterable[int]) -> list[int]:
        """The worker's own among some shards."""
        return [shard for shard in shards if shard % self.workers == self.worker]

    def pending(self, ledger: Ledger) -> Iterator[int]:
        """The shards to do, in order, each looked at when it is asked for."""
        return ledger.pending(self.worker, self.workers, late=self.late and self.workers == 1)


WHOLE = Share()


def images_left(
    job: Job, writer: Writer, ledger: Ledger, progress: Progress, *, share: Share, repair: Collection[int]
) -> Iterator[int]:
    """Numbers of the images that are left to do, shard by shard; of a shard that another publishes, no more."""
    targets = targets_per_image(job)
    published = sorted(ledger.published())
    progress.found(targets * sum(_size(ledger, shard) for shard in published))
    for shard in share.own(published):
        if shard in repair or job.config["retry_failed"]:
            again = writer.repair(shard) if shard in repair else writer.retry(shard)
            progress.found(-targets * len(again))
            yield from again.tolist()
    for shard in share.pending(ledger):
        left = writer.restore(shard)
        progress.found(targets * (_size(ledger, shard) - len(left)))
        for batch in batches(left.tolist(), job.batch_size):
            if ledger.is_published(shard):
                progress.found(targets * int(np.sum(left >= batch[0])))
                break
            yield from batch


def _size(ledger: Ledger, shard: int) -> int:
    first, end = ledger.manifest.range(shard)
    return end - first


def batches(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Cuts a row of numbers every ``size``, as late as possible."""
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
