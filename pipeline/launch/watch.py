"""How far the workers of a run are, read from its folder alone."""

import logging
import time

from pipeline.launch.worker_command import Launch
from pipeline.run.sizes import targets_per_image
from pipeline.store.ledger import Ledger
from pipeline.system.progress import Progress

log = logging.getLogger(__name__)

MOST_OF_THE_TIME = 0.05
"""Share of the time that may go into looking: listing a million shards on a network's disk takes seconds."""


class Watch:
    """Tells a progress bar what the workers published.

    Args:
        launch: The run.
        progress: The bar; it counts explanations.
    """

    def __init__(self, launch: Launch, progress: Progress) -> None:
        self._ledger: Ledger = launch.ledger
        self._targets = targets_per_image(launch.job)
        self._progress = progress
        self._retries: bool = launch.config["retry_failed"]
        self._seen = self._ledger.published()
        self._uncounted: set[int] = set()  # their summaries, which say what failed, come a moment later
        self._next = time.monotonic()
        progress.found(sum(map(self._explanations, self._seen)))

    def look(self, *, now: bool = False) -> None:
        """Counts what is new; does nothing if it was asked just before, unless it must be ``now``."""
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
        self._next = began + max(1.0, (time.monotonic() - began) / MOST_OF_THE_TIME)

    @property
    def missing(self) -> int:
        """Shards that were not published at the last look."""
        return self._ledger.manifest.n_shards - len(self._seen)

    @property
    def done(self) -> bool:
        """Whether workers have nothing left to do; where they retry what failed, only they know."""
        return not self.missing and not self._retries

    def _explanations(self, shard: int) -> int:
        first, end = self._ledger.manifest.range(shard)
        return (end - first) * self._targets
