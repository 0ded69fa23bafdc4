"""The exported rows of a run, read block by block: memory is bounded by a block, not by the run."""

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
from pipeline.store.virtual_dataset import SHARD_ATTRIBUTES

ROWS = 256
"""Rows of a block: at 224 x 224 pixels, 51 MB of maps with one channel."""
ShardRows = list[tuple[int, np.ndarray]]
"""Shards, each with the numbers of selected rows in it, ascending."""
_NAMES = [name for name in COLUMNS if name not in ("attribution", "scale")]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The explanations of a run, or the first of them, numbered from 0 in the run's order.

    Attributes:
        run: All or some of the published explanations.
        rows_by_shard: The selected rows of each shard.
    """

    run: Run
    rows_by_shard: ShardRows

    @classmethod
    def of(cls, run: Run, limit: int | None = None) -> "Excerpt":
        """Selects the first ``limit`` explanations of a run, or all.

        Raises:
            StoreError: No shard is published yet.
            UsageError: No explanation is selected.
        """
        selected: ShardRows = []
        left = len(run) if limit is None else limit
        for shard, rows in run.rows_by_shard():
            if left > 0:
                selected.append((shard, rows[:left]))
                left -= len(rows)
        if not selected:
            if not run.reader.shards:
                raise StoreError(f"{run.folder} has no published shard yet")
            raise UsageError(f"{run.folder}: there is no explanation to export")
        return cls(run, selected)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def reader(self) -> ShardReader:
        """Reader of the run's shards."""
        return self.run.reader

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the run: method, options, model, geometry, versions and class names."""
        stored = {name: value for name, value in self.run.attributes.items() if name not in SHARD_ATTRIBUTES}
        return stored | {"class_names": self.run.manifest.class_names}

    @cached_property
    def digest(self) -> str:
        """Sha256 (hex) of the exported content: fingerprint of the run, sha256 of its shards, row numbers."""
        digest = hashlib.sha256(self.run.manifest.fingerprint.encode())
        for shard, rows in self.rows_by_shard:
            summary = self.reader.ledger.stored_summary(shard)
            digest.update(f"{shard} {summary and summary['sha256']} ".encode() + rows.astype(np.int64).tobytes())
        return digest.hexdigest()

    def column(self, name: str) -> np.ndarray:
        """Reads a column with one number a row, whole."""
        return np.concatenate([self.reader.column(shard, name)[rows] for shard, rows in self.rows_by_shard])

    def explanations(self) -> Iterator[Explanation]:
        """Iterates over the explanations."""
        return islice(self.run, len(self))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First and past-the-end row of each block of `ROWS` rows."""
        return ((first, min(first + ROWS, len(self))) for first in range(0, len(self), ROWS))

    def read(self, first: int, end: int) -> dict[str, np.ndarray]:
        """Reads all columns of some rows, under the names of the store, and ``path`` (relative to the root, bytes).

        ``attribution`` is (n, C or 1, H, W) float32 at the model's input size, with the store's ``scale`` in it.

        Raises:
            NotSpatial: The maps are of a layer without positions in the image.
            StoreError: A shard is damaged.
        """
        selected = [(shard, as_slice(rows)) for shard, rows in self.rows_between(first, end)]
        columns = {
            name: np.concatenate([self.reader.read(shard, name, rows) for shard, rows in selected]) for name in _NAMES
        }
        columns = {name: values for name, values in columns.items() if values.size}  # a run may have no features
        paths = np.array([self.run.manifest.paths[image] for image in columns["index"].tolist()])
        return {"attribution": self.maps(first, end), **columns, "path": paths}

    def maps(self, first: int, end: int) -> np.ndarray:
        """Reads the ``attribution`` of :meth:`read`."""
        return np.concatenate([self._maps(shard, rows) for shard, rows in self.rows_between(first, end)])

    def rows_between(self, first: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Shards of the rows from first to end, each with row numbers in it."""
        for number in range(np.searchsorted(self._ends, first, "right"), np.searchsorted(self._ends, end) + 1):
            shard, rows = self.rows_by_shard[number]
            start = int(self._ends[number]) - len(rows)
            yield shard, rows[max(0, first - start) : end - start]

    @cached_property
    def _ends(self) -> np.ndarray:
        """Number of rows up to the end of each shard."""
        return np.cumsum([len(rows) for _, rows in self.rows_by_shard], dtype=np.int64)

    def _maps(self, shard: int, rows: np.ndarray) -> np.ndarray:
        stored = self.reader.read(shard, "attribution", as_slice(rows))
        scale = self.reader.column(shard, "scale")[rows].reshape(-1, *(1,) * (stored.ndim - 1))
        native = stored.astype(np.promote_types(stored.dtype, np.float32), copy=False) * scale
        expanded = self.reader.geometry.expand(torch.from_numpy(native))
        return expanded.numpy().astype(np.float32, copy=False)


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Ascending row numbers, as a slice where they are consecutive, which HDF5 reads in one call."""
    first, end = int(rows[0]), int(rows[-1]) + 1
    return slice(first, end) if end - first == len(rows) else rows
