"""Progress of the workers of a run, read from its folder alone."""

import logging
import time

from pipeline.launch.worker_command import FrozenRun
from pipeline.run.launch_options import LaunchOptions
from pipeline.run.shard_sizes import targets_per_image
from pipeline.store.ledger import Ledger
from pipeline.system.progress import Progress

log = logging.getLogger(__name__)

LARGEST_SHARE = 0.05
"""Share of the time that may be spent polling: listing a million shards on a network file system takes seconds."""


class Watch:
    """Polls a run's folder for newly published shards, and advances a progress bar by them.

    Args:
        frozen: The run.
        progress: The bar; it counts explanations.
    """

    def __init__(self, frozen: FrozenRun[LaunchOptions], progress: Progress) -> None:
        self._ledger: Ledger = frozen.ledger
        self._targets = targets_per_image(frozen.job)
        self._progress = progress
        self._retries = frozen.requested.retry_failed
        self._seen = self._ledger.published()
        self._uncounted: set[int] = set()  # a shard's summary, with its failures, is published after the shard
        self._next = time.monotonic()
        progress.add_existing(sum(map(self._explanations, self._seen)))

    def poll(self, *, now: bool = False) -> None:
        """Counts newly published shards; does nothing shortly after the last poll, unless ``now``."""
        began = time.monotonic()
        if began < self._next and not now:
            return
        new = self._ledger.published() - self._seen
        self._seen |= new
        self._uncounted |= new
        summaries = {shard: self._ledger.stored_summary(shard) for shard in self._uncounted}
        counted = {shard: summary for shard, summary in summaries.items() if summary is not None}
        self._uncounted -= counted.keys()
        failed = sum(int(summary["failures"]) for summary in counted.values())
        self._progress.add(sum(map(self._explanations, new)), failed)
        self._next = began + max(1.0, (time.monotonic() - began) / LARGEST_SHARE)

    @property
    def missing(self) -> int:
        """Number of shards that were not published at the last poll."""
        return self._ledger.manifest.n_shards - len(self._seen)

    @property
    def done(self) -> bool:
        """True if all shards are published; never if workers retry failed images, as only they know when they end."""
        return not self.missing and not self._retries

    def _explanations(self, shard: int) -> int:
        first, end = self._ledger.manifest.range(shard)
        return (end - first) * self._targets
