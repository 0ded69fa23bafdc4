"""The published shards of a run as open files and columns, few at a time."""

import math
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.engine.geometry import Geometry, from_json
from pipeline.errors import Failure, StoreError
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import local_copy
from pipeline.store.run_files import plain_file, shard_path
from pipeline.store.shard import DAMAGE, check_columns, read_attributes, read_column, read_failures
from pipeline.store.shard_summary import is_current

LARGEST_MAP = 2**28
"""Values of one map; a stranger's file could claim any number."""
_OPEN_FILES = 8
_KEPT_COLUMNS = 64


class ShardReader:
    """Reads published shards; each is checked once, before HDF5 opens it.

    Args:
        run: The run's folder.
        verify: Whether size and sha256 are checked.

    Attributes:
        shards: Numbers of the shards that were published when this was made.
    """

    def __init__(self, run: Path, verify: bool = True) -> None:
        self.run = run
        self.manifest = Manifest.open(run)
        self.ledger = Ledger(run, self.manifest)
        self.shards = sorted(self.ledger.published())
        self.column = lru_cache(_KEPT_COLUMNS)(self.read)  # (shard, name); of one number a row
        self._verify = verify
        self._checked: set[int] = set()
        self.count = cache(self._count)
        self._file = lru_cache(_OPEN_FILES)(self._open)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardReader, (self.run, self._verify)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Of the first published shard; all but range and counts are every shard's.

        Raises:
            StoreError: No shard is published yet.
        """
        if not self.shards:
            raise StoreError(f"{self.run} has no published shard yet")
        return read_attributes(self._file(self.shards[0]), shard_path(self.run, self.shards[0]))

    @cached_property
    def geometry(self) -> Geometry:
        """How stored maps become maps of the input."""
        try:
            geometry = from_json(self.attributes["geometry"])
            if math.prod(geometry.shape) > LARGEST_MAP:
                raise ValueError(f"maps of {geometry.shape} are larger than {LARGEST_MAP} values")
        except DAMAGE as error:
            raise StoreError(f"{self.run}: the geometry of its maps is damaged: {error}") from error
        return geometry

    def _count(self, shard: int) -> int:
        """Number of a shard's rows."""
        summary = self.ledger.stored_summary(shard)
        return int(summary["rows"]) if summary else len(self.read(shard, "index"))

    def read(self, shard: int, name: str, rows: Any = ...) -> np.ndarray:
        """Rows of a column, all by default, read now."""
        try:
            return read_column(self._file(shard), name, rows)
        except DAMAGE as error:
            raise StoreError(f"{shard_path(self.run, shard)} is damaged: {name}: {error}") from error

    def failures(self, shard: int) -> list[Failure]:
        """What could not be explained in a shard; from its summary, where that is there."""
        summary = self.ledger.stored_summary(shard)
        if summary is not None and is_current(summary):
            return [Failure(*failure) for failure in summary["failed"]]
        try:
            return read_failures(self._file(shard))
        except DAMAGE as error:
            raise StoreError(f"{shard_path(self.run, shard)} is damaged: {error}") from error

    def _open(self, shard: int) -> h5py.File:
        path = shard_path(self.run, shard)
        try:
            with local_copy(plain_file(path, self.run)) as near:
                return self._open_checked(shard, path, near)
        except DAMAGE as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    def _open_checked(self, shard: int, path: Path, near: Path) -> h5py.File:
        if self._verify and shard not in self._checked:
            self.ledger.check(shard, near)
            self._checked.add(shard)
        file = h5py.File(near, "r", locking=False)
        attributes = read_attributes(file, path)
        check_columns(file)
        maps, native = file["attribution"].shape, from_json(attributes["geometry"]).native_shape
        if maps[0] and maps[1:] != native:
            raise ValueError(f"its maps are {maps[1:]}, its geometry says {native}")
        self.ledger.check_attributes(attributes, shard)
        return file
