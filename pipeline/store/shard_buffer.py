"""Buffer of an unfinished shard: the rows that are finished so far, in memory."""

import numpy as np

from pipeline.store.schema import Rows


class ShardBuffer:
    """Collects the rows of a shard, each image exactly once: the first copy is stored, later ones are dropped.

    Args:
        first: First image of the shard.
        end: Past its last image.
        replaces: Whether the complete shard will replace a published one.

    Attributes:
        computed: Number of the images that this process computed.
    """

    def __init__(self, first: int, end: int, *, replaces: bool = False) -> None:
        self.replaces = replaces
        self.computed = 0
        self._first = first
        self._done = np.zeros(end - first, bool)
        self._saved: list[Rows] = []
        self._unsaved: list[Rows] = []

    @property
    def remaining(self) -> np.ndarray:
        """Numbers of the images that are still to be computed, int64."""
        return self._first + np.flatnonzero(~self._done)

    @property
    def rows(self) -> Rows:
        """All rows so far, sorted."""
        return Rows.concatenate([*self._saved, *self._unsaved])

    def add(self, rows: Rows, *, saved: bool = False) -> None:
        """Add the images of this shard that are not in the buffer; ``saved`` if they come from a checkpoint."""
        new = np.intersect1d(rows.images, self.remaining)
        if new.size:
            self._done[new - self._first] = True
            self.computed += 0 if saved else new.size
            (self._saved if saved else self._unsaved).append(rows.select_images(new))

    def take_unsaved(self) -> Rows:
        """Return the rows since the last call, and mark them as saved."""
        unsaved = Rows.concatenate(self._unsaved)
        self._saved += self._unsaved
        self._unsaved = []
        return unsaved
