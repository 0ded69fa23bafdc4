"""Table of the explained images of a run: columns of the store, the first row of each image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader

_COLUMNS = ("index", "label", "predicted", "score", "baseline_score", "convergence_delta")


@dataclass(frozen=True)
class ImageTable:
    """Columns with one row for each explained image; all arrays are (n,), in the order of the run.

    Attributes:
        source: The run's shards.
        row: Number of the row in the run.
        shard: Number of its shard.
        place: Its row in the shard.
        columns: Some columns of the store, by name.
        group: Class that the image is grouped with: its label, or its prediction without one.
    """

    source: ShardReader
    row: np.ndarray
    shard: np.ndarray
    place: np.ndarray
    columns: dict[str, np.ndarray]
    group: np.ndarray

    @classmethod
    def read(cls, source: ShardReader) -> "ImageTable":
        """Read the columns of all images, not the maps.

        Raises:
            StoreError: A shard is damaged.
        """
        places, numbers, start = [], [np.empty(0, np.int64)], 0
        for shard in source.shards:
            index = source.column(shard, "index")
            first = np.flatnonzero(np.diff(index, prepend=-1))  # rows of an image are adjacent, one a target
            places.append((shard, first))
            numbers.append(start + first)
            start += len(index)
        return cls.read_rows(source, places, np.concatenate(numbers))

    @classmethod
    def read_rows(cls, source: ShardReader, places: Sequence[tuple[int, np.ndarray]], row: np.ndarray) -> "ImageTable":
        """Read the columns of some rows, no two of the same image.

        Args:
            source: The run's shards.
            places: Shard numbers with rows in them, in order.
            row: Number to give each row.

        Raises:
            StoreError: A shard is damaged.
        """
        columns = {
            name: np.concatenate(
                [np.empty(0, COLUMNS[name].dtypes[0]), *(source.column(shard, name)[rows] for shard, rows in places)]
            )
            for name in _COLUMNS
        }
        shard = np.repeat([number for number, _ in places], [len(rows) for _, rows in places]).astype(np.int64)
        place = np.concatenate([np.empty(0, np.int64), *(rows for _, rows in places)])
        group = np.where(columns["label"] < 0, columns["predicted"], columns["label"]).astype(np.int32)
        return cls(source, row, shard, place, columns, group)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def labelled(self) -> np.ndarray:
        """Mask of the images with a label, bool (n,)."""
        return self.columns["label"] >= 0

    @property
    def correct(self) -> np.ndarray:
        """Mask of the images predicted as labelled, bool (n,)."""
        correct: np.ndarray = self.columns["predicted"] == self.columns["label"]
        return correct

    def groups(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each class number with the positions of its images in the table, ascending."""
        order = np.argsort(self.group, kind="stable")
        yield from _runs(self.group[order], order)

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each shard number with the positions of its images in the table, ascending."""
        yield from _runs(self.shard, np.arange(len(self)))


def _runs(numbers: np.ndarray, positions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Split positions where the sorted numbers change; nothing if there are none."""
    distinct, first = np.unique(numbers, return_index=True)
    yield from zip(distinct.tolist(), np.split(positions, first)[1:], strict=True)
