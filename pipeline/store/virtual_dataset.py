"""One HDF5 file over all shards of a run, for readers that know HDF5 alone; nothing here ever reads through it."""

import io
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

from pipeline.errors import Failure
from pipeline.store.run_files import shard_path
from pipeline.store.schema import COLUMNS, canonical_json
from pipeline.store.shard_reader import ShardReader

INDEX = "index.h5"
OF_ONE_SHARD = ("complete", "image_range", "rows", "images")
"""Attributes that each shard has for itself."""
_NOTHING = {"f": np.nan, "i": -1}
"""What is read where there is no row, by kind of number."""


@dataclass(frozen=True)
class Span:
    """Consecutive rows of a file.

    Attributes:
        path: Of the file, as seen from the folder of the virtual dataset.
        rows: Of the whole file.
        there: The first in the file.
        here: The first in the virtual dataset.
        count: How many there are.
    """

    path: bytes
    rows: int
    there: int
    here: int
    count: int


def virtual_index(source: ShardReader, failed: Collection[Failure]) -> memoryview | None:
    """The bytes of a file whose datasets are the columns of a run, row by row of its images.

    Row ``i * T + t`` is target t, of T, of image i. Images that failed and those of missing shards read as NaN, whole
    numbers as -1. The file finds the shards beside itself, by relative names, so the folder can be moved.

    Args:
        source: The published shards.
        failed: The images that could not be explained, in order.

    Returns:
        None if nothing is explained yet.
    """
    filled = next((shard for shard in source.shards if source.count(shard)), None)
    if filled is None:
        return None
    first, end = source.manifest.range(filled)
    targets = source.count(filled) // (end - first - len(source.failures(filled)))
    spans = list(_spans(source, failed, targets))
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        for name in COLUMNS:
            empty = source.read(filled, name, slice(0))
            if 0 in empty.shape[1:]:
                continue  # features that were not asked for
            shape = (len(source.manifest) * targets, *empty.shape[1:])
            map_rows(file, name, empty, spans=spans, shape=shape, fill=_NOTHING[empty.dtype.kind])
        for name, value in source.attributes.items():
            if name not in OF_ONE_SHARD:
                file.attrs[name] = value if isinstance(value, str | int | float) else canonical_json(value)
        file.attrs["targets_per_image"] = targets
    return memoryview(stream.getvalue())


def _spans(source: ShardReader, failed: Collection[Failure], targets: int) -> Iterator[Span]:
    gaps = np.array([failure.index for failure in failed], np.int64)
    for shard in source.shards:
        path = os.fsencode(str(shard_path(source.run, shard).relative_to(source.run)))
        first, end = source.manifest.range(shard)
        low, high = np.searchsorted(gaps, (first, end))
        own = gaps[low:high].tolist()
        for skipped, (begin, stop) in enumerate(zip([first, *(gap + 1 for gap in own)], [*own, end], strict=True)):
            if begin < stop:
                there, rows = begin - first - skipped, end - first - len(own)
                yield Span(path, *(targets * images for images in (rows, there, begin, stop - begin)))


def map_rows(
    file: h5py.File, name: str, empty: np.ndarray, *, spans: Iterable[Span], shape: tuple[int, ...], fill: float
) -> None:
    """Creates a virtual dataset; h5py's own layouts keep an object of Python for each of a million mappings.

    Args:
        file: Open for writing.
        name: Of the dataset, here and in the files.
        empty: No rows, of the dtype and shape that the files have.
        spans: Where the rows are.
        shape: Of the dataset, along no axis smaller than a row; rows lie in its first corner.
        fill: What is read where there is nothing.
    """
    row = empty.shape[1:]
    corner = (0,) * len(row)
    space = h5s.create_simple(shape)
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_obj_track_times(False)  # equal content gives equal bytes
    layout.set_fill_value(np.array(fill, empty.dtype))
    for span in spans:
        there = h5s.create_simple((span.rows, *row))
        there.select_hyperslab((span.there, *corner), (span.count, *row))
        space.select_hyperslab((span.here, *corner), (span.count, *row))
        layout.set_virtual(space, span.path, name.encode(), there)
    whole = h5s.create_simple(shape)
    h5d.create(file.id, name.encode(), h5t.py_create(empty.dtype), whole, layout)
