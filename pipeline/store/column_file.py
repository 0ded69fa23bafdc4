"""Columns too large to exist twice in memory, in one HDF5 file that can be memory-mapped column by column.

The file is a header (groups, attributes, small datasets), then the columns, then a trailer: a magic number of 8 bytes,
the header's length, and the sha256 of the header and these two. The checksum covers the header only, so that opening a
manifest of a billion images does not read all of it: the writer of the columns stores checksums of their pages among
the small datasets, and a reader checks the pages that it reads.
"""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from pipeline.store.checksum import has_valid_checksum
from pipeline.store.hdf5 import LIBVER

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MAGIC = b"columns\0"
_TRAILER_BYTES = len(_MAGIC) + 8 + 32


def encode_columns(
    small: Mapping[str, np.ndarray], large: Mapping[str, np.ndarray], attributes: Mapping[str, str | int]
) -> list[memoryview]:
    """Encode an HDF5 file as consecutive pieces; the pieces of the large columns are the arrays themselves, not copies.

    Args:
        small: Datasets that are stored in the header.
        large: Columns, each a contiguous dataset behind the header.
        attributes: Of the file.
    """
    # HDF5 writes the header only. It assigns a column its offset when a first value is written; the stream drops what
    # HDF5 writes behind the header, and the pieces below put the arrays at these offsets.
    stream = _HeaderStream()
    with h5py.File(stream, "w", libver=LIBVER) as file:
        for name, values in small.items():
            file[name] = values
        file.attrs.update(attributes)
        columns = [_declare_column(file, name, values) for name, values in large.items()]
        file.flush()
        stream.end = stream.seek(0, os.SEEK_END)
        for column, values in zip(columns, large.values(), strict=True):
            column[:1] = values[:1]
        offsets = [column.id.get_offset() for column in columns]
    header = stream.getvalue().ljust(offsets[0], b"\0")
    pieces, end = [memoryview(header)], offsets[0]
    for offset, values in zip(offsets, large.values(), strict=True):
        pieces += [memoryview(bytes(offset - end)), np.ascontiguousarray(values).data.cast("B")]
        end = offset + values.nbytes
    trailer = _MAGIC + len(header).to_bytes(8, "little")
    return [*pieces, memoryview(trailer + hashlib.sha256(header + trailer).digest())]


def is_intact(path: Path) -> bool:
    """Return whether the header of a file matches its checksum; of a file of an older version, the whole content."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TRAILER_BYTES))
        end = file.read()
        if not end.startswith(_MAGIC):
            return has_valid_checksum(file)
        trailer, digest = end[: len(_MAGIC) + 8], end[len(_MAGIC) + 8 :]
        length = int.from_bytes(trailer[len(_MAGIC) :], "little")
        file.seek(0)
        return length < size and hashlib.sha256(file.read(length) + trailer).digest() == digest


def memory_map(dataset: h5py.Dataset) -> np.ndarray:
    """Map a contiguous dataset as a read-only array, of which the disk is read where it is accessed."""
    offset = dataset.id.get_offset()
    return np.asarray(np.memmap(dataset.file.filename, dataset.dtype, "r", offset=offset, shape=dataset.shape))


class _HeaderStream(io.BytesIO):
    """A stream that drops all writes that begin at or behind ``end``."""

    end = 1 << 62

    def write(self, data: "ReadableBuffer") -> int:
        length = memoryview(data).nbytes
        if self.tell() < self.end:
            super().write(data)
        return length


def _declare_column(file: h5py.File, name: str, values: np.ndarray) -> h5py.Dataset:
    """Create a contiguous dataset that has no room in the file yet and is not filled with zeros."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_obj_track_times(False)  # no time of creation: the same columns give the same bytes
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind, space = h5py.h5t.py_create(values.dtype, logical=True), h5py.h5s.create_simple(values.shape)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, settings))
