"""Columns of an export in parts: one file for each block of rows, mapped into one virtual dataset."""

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.export.run_excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import LIBVER
from pipeline.store.run_files import shard_path
from pipeline.store.virtual_dataset import RowSpan

PARTS = "parts"


def column_part_path(folder: Path, name: str, first: int) -> Path:
    """Path of a part, ``parts/NAME-RRRRRRR.h5``: the block that begins with row ``first``."""
    return folder / PARTS / f"{name}-{first:07d}.h5"


def missing_parts(excerpt: Excerpt, folder: Path, name: str) -> list[tuple[int, int]]:
    """Blocks, as first and past-the-end row, whose part is not written yet."""
    return [(first, end) for first, end in excerpt.blocks() if not column_part_path(folder, name, first).exists()]


def write_part(path: Path, name: str, values: np.ndarray, filters: Mapping[str, Any]) -> None:
    """Publishes a part: a block of a column, in HDF5 chunks of one row."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=LIBVER) as file:
        file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), fletcher32=True, **filters)
    publish(stream.getbuffer(), path)


def part_spans(excerpt: Excerpt, name: str) -> Iterator[RowSpan]:
    """Row spans of a column's parts, by paths relative to the export's folder."""
    for first, end in excerpt.blocks():
        path = column_part_path(Path(), name, first)
        yield RowSpan(os.fsencode(path), end - first, file_start=0, start=first, count=end - first)


def shard_spans(excerpt: Excerpt, folder: Path) -> Iterator[RowSpan]:
    """Row spans of the run's shards.

    Paths are relative for an export inside of the run's folder, so that both can be moved together, else absolute.
    """
    start, export_folder, run_folder = 0, folder.resolve(), excerpt.run.folder.resolve()
    for shard, rows in excerpt.rows_by_shard:
        path = str(shard_path(run_folder, shard))
        if export_folder.is_relative_to(run_folder):
            path = os.path.relpath(path, export_folder)
        # Consecutive rows are one span
        for part in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            name = os.fsencode(path.replace("%", "%%"))  # HDF5 replaces %b in a name by a number
            yield RowSpan(name, excerpt.reader.count(shard), file_start=int(part[0]), start=start, count=len(part))
            start += len(part)
