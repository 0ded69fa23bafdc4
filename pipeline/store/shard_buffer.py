"""The rows of a shard that is not finished, as they come in."""

import numpy as np

from pipeline.store.schema import Rows


class ShardBuffer:
    """Each image of a shard, once; what came first stays.

    Args:
        first: First image of the shard.
        end: Past its last image.
        replaces: Whether the whole shard will take the place of a published one.

    Attributes:
        computed: How many of the images came from this process.
    """

    def __init__(self, first: int, end: int, *, replaces: bool = False) -> None:
        self.replaces = replaces
        self.computed = 0
        self._first = first
        self._done = np.zeros(end - first, bool)
        self._saved: list[Rows] = []
        self._fresh: list[Rows] = []

    @property
    def left(self) -> np.ndarray:
        """Numbers of the images that are still to come, int64."""
        return self._first + np.flatnonzero(~self._done)

    @property
    def rows(self) -> Rows:
        """All that came, sorted."""
        return Rows.join([*self._saved, *self._fresh])

    def add(self, rows: Rows, *, saved: bool = False) -> None:
        """Takes the images of this shard that have not come yet; ``saved`` ones are on the disk already."""
        new = np.intersect1d(rows.images, self.left)
        if new.size:
            self._done[new - self._first] = True
            self.computed += 0 if saved else new.size
            (self._saved if saved else self._fresh).append(rows.of(new))

    def take_fresh(self) -> Rows:
        """What came since the last call and is not on the disk."""
        fresh = Rows.join(self._fresh)
        self._saved += self._fresh
        self._fresh = []
        return fresh
