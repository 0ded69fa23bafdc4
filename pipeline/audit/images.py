"""The explained images of a run as columns: of each, its first row."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.store.source import Source

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

    source: Source
    row: np.ndarray
    shard: np.ndarray
    place: np.ndarray
    columns: dict[str, np.ndarray]
    group: np.ndarray

    @classmethod
    def of(cls, source: Source) -> "Images":
        """Reads the columns, not the maps.

        Raises:
            StoreError: Something is damaged.
        """
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("row", "shard", "place", *_COLUMNS)}
        start = 0
        for shard in source.shards:
            index = source.column(shard, "index")
            first = np.flatnonzero(np.diff(index, prepend=-1))
            found["row"].append(start + first)
            found["shard"].append(np.full(len(first), shard))
            found["place"].append(first)
            for name in _COLUMNS:
                found[name].append(source.column(shard, name)[first])
            start += len(index)
        arrays = {name: np.concatenate([np.empty(0, np.int64), *parts]) if not parts else np.concatenate(parts)
                  for name, parts in found.items()}  # fmt: skip
        group = np.where(arrays["label"] < 0, arrays["predicted"], arrays["label"]).astype(np.int32)
        columns = {name: arrays[name] for name in _COLUMNS}
        return cls(source, arrays["row"], arrays["shard"], arrays["place"], columns, group)

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
