"""How far the workers of a run are, read from its folder alone."""

import logging
import time

from pipeline.launch.launch import Launch
from pipeline.progress import Progress
from pipeline.size import targets_per_image
from pipeline.store.ledger import Ledger

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
        self._seen = self._ledger.published()
        self._next = time.monotonic()
        progress.found(sum(map(self._explanations, self._seen)))

    def look(self) -> None:
        """Counts what is new; does nothing if it was asked just before."""
        began = time.monotonic()
        if began < self._next:
            return
        new = self._ledger.published() - self._seen
        self._seen |= new
        failed = sum(self._failed(shard) for shard in new)
        self._progress.add(sum(map(self._explanations, new)), failed)
        self._next = began + max(1.0, (time.monotonic() - began) / MOST_OF_THE_TIME)

    @property
    def missing(self) -> int:
        """Shards that are not published."""
        return self._ledger.manifest.n_shards - len(self._ledger.published())

    def _explanations(self, shard: int) -> int:
        first, end = self._ledger.manifest.range(shard)
        return (end - first) * self._targets

    def _failed(self, shard: int) -> int:
        summary = self._ledger.stored_summary(shard)
        return 0 if summary is None else int(summary["failures"])
