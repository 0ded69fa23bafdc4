"""Columns of an export too large for memory: a file for each block of rows, and one that shows them as a whole."""

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.export.excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.run_files import shard_path
from pipeline.store.virtual_dataset import Span

PARTS = "parts"


def column_part_path(folder: Path, name: str, first: int) -> Path:
    """``parts/NAME-RRRRRRR.h5``: the block that begins with this row."""
    return folder / PARTS / f"{name}-{first:07d}.h5"


def missing_parts(excerpt: Excerpt, folder: Path, name: str) -> list[tuple[int, int]]:
    """The blocks, first and past-the-end row, whose file is not there yet."""
    return [(first, end) for first, end in excerpt.ranges() if not column_part_path(folder, name, first).exists()]


def write_part(path: Path, name: str, values: np.ndarray, filters: Mapping[str, Any]) -> None:
    """Publishes a block of a column, a row a chunk."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), fletcher32=True, **filters)
    publish(stream.getbuffer(), path)


def part_spans(excerpt: Excerpt, name: str) -> Iterator[Span]:
    """Where the rows are in the files of a column, as seen from the folder of the export."""
    for first, end in excerpt.ranges():
        path = column_part_path(Path(), name, first)
        yield Span(os.fsencode(path), end - first, there=0, here=first, count=end - first)


def shard_spans(excerpt: Excerpt, folder: Path) -> Iterator[Span]:
    """Where the rows are in the run's shards.

    An export inside of the run's folder sees them by relative paths, so that the two can be moved.
    """
    here, (inside, outside) = 0, (folder.resolve(), excerpt.run.folder.resolve())
    for shard, rows in excerpt.places:
        path = str(shard_path(outside, shard))
        if inside.is_relative_to(outside):
            path = os.path.relpath(path, inside)
        for part in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            name = os.fsencode(path.replace("%", "%%"))  # HDF5 puts numbers where a name has %b
            yield Span(name, excerpt.source.count(shard), there=int(part[0]), here=here, count=len(part))
            here += len(part)
