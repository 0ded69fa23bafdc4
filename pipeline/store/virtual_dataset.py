"""``index.h5``: HDF5 virtual datasets over all shards of a run, for programs that know HDF5 but not this package.

A virtual dataset has no values of its own: it maps ranges of its rows to datasets in other files. Where a file is
missing HDF5 silently returns the fill value, and it verifies no sha256: this package therefore never reads through it.
"""

import io
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from pipeline.errors import Failure
from pipeline.store.hdf5 import LIBVER
from pipeline.store.run_files import shard_path
from pipeline.store.schema import COLUMNS, canonical_json
from pipeline.store.shard_reader import ShardReader

INDEX = "index.h5"
SHARD_ATTRIBUTES = ("complete", "image_range", "rows", "images")
"""Attributes that differ from shard to shard."""
_FILL_VALUES = {"f": np.nan, "i": -1}
"""Values of missing rows, by the dtype's kind."""


@dataclass(frozen=True)
class RowSpan:
    """Consecutive rows of a file.

    Attributes:
        path: Of the file, relative to the folder of the virtual dataset.
        rows: Number of rows of the whole file.
        file_start: First row in the file.
        start: First row in the virtual dataset.
        count: Number of rows.
    """

    path: bytes
    rows: int
    file_start: int
    start: int
    count: int


def encode_index(reader: ShardReader, failed: Collection[Failure]) -> memoryview | None:
    """Encode a file whose virtual datasets are the columns of a run, in the order of its images.

    Row ``i * T + t`` is target t, of T, of image i. Images that failed and those of missing shards read as NaN, in
    columns of integers as -1. The paths of the shards are relative, so the run's folder can be moved.

    Args:
        reader: Reader of the published shards.
        failed: The images that could not be explained, in order.

    Returns:
        The bytes of the file; None if nothing is explained yet.
    """
    filled = next((shard for shard in reader.shards if reader.count(shard)), None)
    if filled is None:
        return None
    first, end = reader.manifest.range(filled)
    targets = reader.count(filled) // (end - first - len(reader.failures(filled)))
    spans = list(_spans(reader, failed, targets))
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=LIBVER) as file:
        for name in COLUMNS:
            empty = reader.read(filled, name, slice(0))
            if 0 in empty.shape[1:]:
                continue  # features of a run without store.features=true
            shape = (len(reader.manifest) * targets, *empty.shape[1:])
            create_virtual_dataset(file, name, empty, spans=spans, shape=shape, fill=_FILL_VALUES[empty.dtype.kind])
        for name, value in reader.attributes.items():
            if name not in SHARD_ATTRIBUTES:
                file.attrs[name] = value if isinstance(value, str | int | float) else canonical_json(value)
        file.attrs["targets_per_image"] = targets
    return memoryview(stream.getvalue())


def _spans(reader: ShardReader, failed: Collection[Failure], targets: int) -> Iterator[RowSpan]:
    """Yield runs of consecutive rows: each shard's rows, split where an image failed and so has none."""
    gaps = np.array([failure.index for failure in failed], np.int64)
    for shard in reader.shards:
        path = os.fsencode(str(shard_path(reader.run, shard).relative_to(reader.run)))
        first, end = reader.manifest.range(shard)
        low, high = np.searchsorted(gaps, (first, end))
        own = gaps[low:high].tolist()
        for skipped, (begin, stop) in enumerate(zip([first, *(gap + 1 for gap in own)], [*own, end], strict=True)):
            if begin < stop:
                file_start, rows = begin - first - skipped, end - first - len(own)
                yield RowSpan(path, *(targets * images for images in (rows, file_start, begin, stop - begin)))


def create_virtual_dataset(
    file: h5py.File, name: str, empty: np.ndarray, *, spans: Iterable[RowSpan], shape: tuple[int, ...], fill: float
) -> None:
    """Create a virtual dataset with HDF5's low-level functions.

    h5py's `VirtualLayout` has a Python object for each mapping, of which a run has up to a million.

    Args:
        file: Open for writing.
        name: Of the dataset, in this file and in the mapped ones.
        empty: An array without rows, of the dtype and row shape of the mapped datasets.
        spans: The mapped rows.
        shape: Of the virtual dataset, along no axis smaller than a row; rows fill its first corner.
        fill: Value where no row is mapped.
    """
    row = empty.shape[1:]
    corner = (0,) * len(row)
    space = h5s.create_simple(shape)
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_obj_track_times(False)  # equal content gives equal bytes
    layout.set_fill_value(np.array(fill, empty.dtype))
    for span in spans:
        mapped = h5s.create_simple((span.rows, *row))
        mapped.select_hyperslab((span.file_start, *corner), (span.count, *row))
        space.select_hyperslab((span.start, *corner), (span.count, *row))
        layout.set_virtual(space, span.path, name.encode(), mapped)
    whole = h5s.create_simple(shape)
    h5d.create(file.id, name.encode(), h5t.py_create(empty.dtype), whole, layout)
