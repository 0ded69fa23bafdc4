"""Lazy reads of published shards: few open files, a cache of columns, and one checksum verification per shard."""

import math
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.engine.geometry import Geometry, from_json
from pipeline.errors import Failure, StoreError
from pipeline.store.hdf5 import DAMAGED_FILE_ERRORS
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import as_local_file
from pipeline.store.run_files import require_regular_file, shard_path
from pipeline.store.shard import check_columns, read_attributes, read_column, read_failures
from pipeline.store.shard_summary import is_current

MAX_MAP_VALUES = 2**28
"""Largest number of values of an expanded map; an untrusted file could claim any number."""
_OPEN_FILES = 8
_CACHED_COLUMNS = 64


class ShardReader:
    """Reads columns of published shards; each shard is verified once, before HDF5 opens it.

    Args:
        run: The run's folder.
        verify: Whether size and sha256 are verified.

    Attributes:
        shards: Numbers of the shards that were published when the reader was created.
        column: As :meth:`read` of all rows of a column, cached (least recently used columns are evicted).
    """

    def __init__(self, run: Path, verify: bool = True) -> None:
        self.run = run
        self.manifest = Manifest.open(run)
        self.ledger = Ledger(run, self.manifest)
        self.shards = sorted(self.ledger.published())
        self.column = lru_cache(_CACHED_COLUMNS)(self.read)  # (shard, name); for columns with one number a row
        self._verify = verify
        self._verified: set[int] = set()
        self.count = cache(self._count)
        self._file = lru_cache(_OPEN_FILES)(self._open)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardReader, (self.run, self._verify)  # pickled without open files: each process opens its own

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the first published shard; all but range and counts are the same in every shard.

        Raises:
            StoreError: No shard is published yet.
        """
        if not self.shards:
            raise StoreError(f"{self.run} has no published shard yet")
        return read_attributes(self._file(self.shards[0]), shard_path(self.run, self.shards[0]))

    @cached_property
    def geometry(self) -> Geometry:
        """Geometry that expands stored maps to the input's size."""
        try:
            geometry = from_json(self.attributes["geometry"])
            if math.prod(geometry.shape) > MAX_MAP_VALUES:
                raise ValueError(f"maps of {geometry.shape} are larger than {MAX_MAP_VALUES} values")
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(f"{self.run}: the geometry of its maps is damaged: {error}") from error
        return geometry

    def _count(self, shard: int) -> int:
        """Number of rows of a shard, from its summary if that exists."""
        summary = self.ledger.stored_summary(shard)
        return int(summary["rows"]) if summary else len(self.read(shard, "index"))

    def read(self, shard: int, name: str, rows: Any = ...) -> np.ndarray:
        """Read rows of a column, by default all."""
        try:
            return read_column(self._file(shard), name, rows)
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(f"{shard_path(self.run, shard)} is damaged: {name}: {error}") from error

    def failures(self, shard: int) -> list[Failure]:
        """Failures of a shard, from its summary if that exists."""
        summary = self.ledger.stored_summary(shard)
        if summary is not None and is_current(summary, self.manifest):
            return [Failure(*failure) for failure in summary["failed"]]
        try:
            return read_failures(self._file(shard))
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(f"{shard_path(self.run, shard)} is damaged: {error}") from error

    def _open(self, shard: int) -> h5py.File:
        path = shard_path(self.run, shard)
        try:
            with as_local_file(require_regular_file(path, self.run)) as local:
                return self._open_verified(shard, path, local)
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _open_verified(self, shard: int, path: Path, local: Path) -> h5py.File:
        # A flipped byte can be read back silently, or even hang HDF5: verify the checksum before HDF5 opens the file.
        if self._verify and shard not in self._verified:
            self.ledger.verify_checksum(shard, local)
            self._verified.add(shard)
        file = h5py.File(local, "r", locking=False)  # published files never change; some network mounts have no locks
        attributes = read_attributes(file, path)
        check_columns(file)
        maps, native = file["attribution"].shape, from_json(attributes["geometry"]).native_shape
        if maps[0] and maps[1:] != native:
            raise ValueError(f"its maps are {maps[1:]}, its geometry says {native}")
        self.ledger.check_attributes(attributes, shard)
        return file
