"""What of a run is exported, block by block: memory holds one block, whatever the run's size."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch

from pipeline.errors import StoreError, UsageError
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.store.virtual_dataset import OF_ONE_SHARD

ROWS = 256
"""Of a block: at 224 x 224 pixels, 51 MB of maps with one channel."""
Places = list[tuple[int, np.ndarray]]
"""Shards, each with the numbers of rows there."""
_NAMES = [name for name in COLUMNS if name not in ("attribution", "scale")]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The explanations of a run, or the first of them, numbered from 0 in the run's order.

    Attributes:
        run: All or some of what is published of a run.
        places: Where they are.
    """

    run: Run
    places: Places

    @classmethod
    def of(cls, run: Run, limit: int | None = None) -> "Excerpt":
        """The first explanations of a run, or all.

        Raises:
            StoreError: Nothing is published yet.
            UsageError: Nothing is selected.
        """
        places: Places = []
        left = len(run) if limit is None else limit
        for shard, rows in run.places():
            if left > 0:
                places.append((shard, rows[:left]))
                left -= len(rows)
        if not places:
            if not run.source.shards:
                raise StoreError(f"{run.folder} has no published shard yet")
            raise UsageError(f"{run.folder}: there is no explanation to export")
        return cls(run, places)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def source(self) -> ShardReader:
        """The run's shards."""
        return self.run.source

    @property
    def attributes(self) -> dict[str, Any]:
        """What the shards say of method, model and geometry, with the class names."""
        stored = {name: value for name, value in self.run.attributes.items() if name not in OF_ONE_SHARD}
        return stored | {"class_names": self.run.manifest.class_names}

    @cached_property
    def digest(self) -> str:
        """Sha256 (hex) of what is exported: the run, its shards as they are now, the rows."""
        found = hashlib.sha256(self.run.manifest.fingerprint.encode())
        for shard, rows in self.places:
            summary = self.source.ledger.stored_summary(shard)
            found.update(f"{shard} {summary and summary['sha256']} ".encode() + rows.astype(np.int64).tobytes())
        return found.hexdigest()

    def column(self, name: str) -> np.ndarray:
        """A column of numbers, one for each row."""
        return np.concatenate([self.source.column(shard, name)[rows] for shard, rows in self.places])

    def explanations(self) -> Iterator[Explanation]:
        """One after the other."""
        return islice(self.run, len(self))

    def ranges(self) -> Iterator[tuple[int, int]]:
        """First and past-the-end row of each block."""
        return ((first, min(first + ROWS, len(self))) for first in range(0, len(self), ROWS))

    def read(self, first: int, end: int) -> dict[str, np.ndarray]:
        """All columns of some rows under the names of the store, with ``path`` (relative to the root, bytes).

        ``attribution`` is (n, C or 1, H, W) float32 at the model's input size, with the store's ``scale`` in it.

        Raises:
            NotSpatial: The maps belong nowhere in the image.
            StoreError: Something is damaged.
        """
        places = [(shard, as_slice(rows)) for shard, rows in self.between(first, end)]
        found = {
            name: np.concatenate([self.source.read(shard, name, rows) for shard, rows in places]) for name in _NAMES
        }
        columns = {name: values for name, values in found.items() if values.size}  # features need not be there
        paths = np.array([self.run.manifest.paths[image] for image in columns["index"].tolist()])
        return {"attribution": self.maps(first, end), **columns, "path": paths}

    def maps(self, first: int, end: int) -> np.ndarray:
        """The ``attribution`` that :meth:`read` gives."""
        return np.concatenate([self._maps(shard, rows) for shard, rows in self.between(first, end)])

    def between(self, first: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Where the rows from first to end are."""
        for number in range(np.searchsorted(self._ends, first, "right"), np.searchsorted(self._ends, end) + 1):
            shard, rows = self.places[number]
            start = int(self._ends[number]) - len(rows)
            yield shard, rows[max(0, first - start) : end - start]

    @cached_property
    def _ends(self) -> np.ndarray:
        """How many rows there are up to the end of each shard."""
        return np.cumsum([len(rows) for _, rows in self.places], dtype=np.int64)

    def _maps(self, shard: int, rows: np.ndarray) -> np.ndarray:
        stored = self.source.read(shard, "attribution", as_slice(rows))
        scale = self.source.column(shard, "scale")[rows].reshape(-1, *(1,) * (stored.ndim - 1))
        native = stored.astype(np.promote_types(stored.dtype, np.float32), copy=False) * scale
        expanded = self.source.geometry.expand(torch.from_numpy(native))
        return expanded.numpy().astype(np.float32, copy=False)


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Ascending numbers of rows, as a slice where they follow one another: HDF5 reads that at once."""
    first, end = int(rows[0]), int(rows[-1]) + 1
    return slice(first, end) if end - first == len(rows) else rows
