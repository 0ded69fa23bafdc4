"""The explained images of a run as columns: of each, its first row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader

_COLUMNS = ("index", "label", "predicted", "score", "baseline_score", "convergence_delta")


@dataclass(frozen=True)
class Images:
    """One row of each explained image; all arrays are (n,), in the order of the run.

    Attributes:
        source: The run's shards.
        row: Number of the row in the run.
        shard: That it is in.
        place: Its row there.
        columns: Some columns of the store, by name.
        group: Class that the image is looked at with: its label, without labels its prediction.
    """

    source: ShardReader
    row: np.ndarray
    shard: np.ndarray
    place: np.ndarray
    columns: dict[str, np.ndarray]
    group: np.ndarray

    @classmethod
    def of(cls, source: ShardReader) -> "Images":
        """Reads the columns, not the maps.

        Raises:
            StoreError: Something is damaged.
        """
        places, numbers, start = [], [np.empty(0, np.int64)], 0
        for shard in source.shards:
            index = source.column(shard, "index")
            first = np.flatnonzero(np.diff(index, prepend=-1))
            places.append((shard, first))
            numbers.append(start + first)
            start += len(index)
        return cls.at(source, places, np.concatenate(numbers))

    @classmethod
    def at(cls, source: ShardReader, places: Sequence[tuple[int, np.ndarray]], row: np.ndarray) -> "Images":
        """The images of some rows, no two of the same image.

        Args:
            source: The run's shards.
            places: Shards with rows there, in order.
            row: What number each row is to have.

        Raises:
            StoreError: Something is damaged.
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
        """Which images have a label, bool (n,)."""
        return self.columns["label"] >= 0

    @property
    def correct(self) -> np.ndarray:
        """Which images are predicted as labelled, bool (n,)."""
        correct: np.ndarray = self.columns["predicted"] == self.columns["label"]
        return correct

    def groups(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each class with the positions of its images here, by number."""
        order = np.argsort(self.group, kind="stable")
        numbers, first = np.unique(self.group[order], return_index=True)
        yield from zip(numbers.tolist(), np.split(order, first[1:]), strict=True)

    def shards(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each shard with the positions of its images here, in order."""
        numbers, first = np.unique(self.shard, return_index=True)
        yield from zip(numbers.tolist(), np.split(np.arange(len(self)), first[1:]), strict=True)
