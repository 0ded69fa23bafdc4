"""Columns too large to be held twice, in one HDF5 file that is sealed and can be mapped.

The file is a header (groups, attributes, small datasets), then the columns, then a seal: sixteen bytes that say so and
how long the header is, and the sha256 of the header with them. Who writes columns puts digests of their pages among the
small datasets, so that nobody has to read all of them to trust some.
"""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from pipeline.store.shard import is_sealed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MARK = b"columns\0"
_SEAL_BYTES = len(_MARK) + 8 + 32


def encode(
    small: Mapping[str, np.ndarray], large: Mapping[str, np.ndarray], attributes: Mapping[str, str | int]
) -> list[memoryview]:
    """The pieces of a file, one after the other; those of the columns are the arrays themselves."""
    stream = _Header()
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        for name, values in small.items():
            file[name] = values
        file.attrs.update(attributes)
        columns = [_unwritten(file, name, values) for name, values in large.items()]
        file.flush()
        stream.end = stream.seek(0, os.SEEK_END)
        for column, values in zip(columns, large.values(), strict=True):
            column[:1] = values[:1]  # now HDF5 takes the whole column's room, behind all that it has written
        places = [column.id.get_offset() for column in columns]
    header = stream.getvalue().ljust(places[0], b"\0")
    pieces, end = [memoryview(header)], places[0]
    for place, values in zip(places, large.values(), strict=True):
        pieces += [memoryview(bytes(place - end)), np.ascontiguousarray(values).data.cast("B")]
        end = place + values.nbytes
    mark = _MARK + len(header).to_bytes(8, "little")
    return [*pieces, memoryview(mark + hashlib.sha256(header + mark).digest())]


def is_whole(path: Path) -> bool:
    """Whether a file is what was sealed: its header, or all of it where it was sealed as a whole (once, all were)."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SEAL_BYTES))
        seal = file.read()
        if not seal.startswith(_MARK):
            return is_sealed(file)
        mark = seal[: len(_MARK) + 8]
        length = int.from_bytes(mark[len(_MARK) :], "little")
        file.seek(0)
        return length < size and hashlib.sha256(file.read(length) + mark).digest() == seal[len(mark) :]


def mapped(dataset: h5py.Dataset) -> np.ndarray:
    """A contiguous dataset as an array that is read from the disk where it is touched."""
    offset = dataset.id.get_offset()
    return np.asarray(np.memmap(dataset.file.filename, dataset.dtype, "r", offset=offset, shape=dataset.shape))


class _Header(io.BytesIO):
    """A file of which only what lies before ``end`` is kept."""

    end = 1 << 62

    def write(self, data: "ReadableBuffer") -> int:
        length = memoryview(data).nbytes
        if self.tell() < self.end:
            super().write(data)
        return length


def _unwritten(file: h5py.File, name: str, values: np.ndarray) -> h5py.Dataset:
    """A contiguous dataset that has no room in the file yet and will not be filled."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_obj_track_times(False)  # the same columns, the same bytes
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind, space = h5py.h5t.py_create(values.dtype, logical=True), h5py.h5s.create_simple(values.shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, settings))
