"""Encode rows as the bytes of one HDF5 file, and decode them; a shard is such a file, and so is a checkpoint.

The file is built in memory and written by :mod:`pipeline.store.atomic`: h5py writing straight to a full disk ends in a
segmentation fault, and a killed h5py leaves a file that cannot be opened.
"""

import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import h5py
import numpy as np

from pipeline.errors import Failure, StoreError
from pipeline.store.hdf5 import DAMAGED_FILE_ERRORS, LIBVER, open_dataset
from pipeline.store.schema import (
    ADDED_IN_VERSION,
    COLUMNS,
    SCHEMA_VERSION,
    ColumnSchema,
    Rows,
    canonical_json,
    check_version,
)

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}
_CHUNK_BYTES = 1 << 18


def encode_rows(rows: Rows, attributes: Mapping[str, Any], *, filter: str = "none") -> memoryview:
    """Encode rows and failures as one HDF5 file; equal content gives equal bytes.

    Args:
        rows: Sorted, as :meth:`Rows.concatenate` gives them.
        attributes: Of the file; mappings and sequences are stored as JSON.
        filter: A name of `FILTERS`, for the maps.
    """
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=LIBVER) as file:
        for name, column in COLUMNS.items():
            values = rows.columns[name] if rows.columns else column.empty()
            _create(file, name, values, FILTERS[filter] if name == "attribution" else {})
        _create(file, "failures", _failure_table(rows.failures), {})
        counts = {"schema_version": SCHEMA_VERSION, "rows": len(rows), "images": len(rows.images)}
        for name, value in sorted({**attributes, **counts}.items()):
            plain = isinstance(value, (str, int, float, np.generic))
            file.attrs[name] = value if plain else canonical_json(value)
    return memoryview(stream.getvalue())  # shares its bytes; getbuffer() would keep the stream from being freed


def decode_rows(stream: BinaryIO, name: object) -> tuple[Rows, dict[str, Any]]:
    """Decode the rows and attributes of one HDF5 file.

    Args:
        stream: Its bytes.
        name: Of the file, for messages.

    Raises:
        StoreError: It is damaged, incomplete or of a newer schema.
    """
    try:
        with h5py.File(stream, "r") as file:
            attributes = read_attributes(file, name)
            check_columns(file)
            rows = Rows({column: read_column(file, column) for column in COLUMNS}, read_failures(file))
        rows.validate()
        declared = (attributes["rows"], attributes["images"])
    except DAMAGED_FILE_ERRORS as error:
        raise StoreError(f"{name} is damaged: {error}") from error
    if (len(rows), len(rows.images)) != declared:
        raise StoreError(f"{name} is damaged: it has {len(rows)} rows, its attributes say {declared[0]}")
    return (rows if len(rows) else Rows({}, rows.failures)), attributes


def read_attributes(file: h5py.File, name: object) -> dict[str, Any]:
    """Read the attributes of an open file, JSON decoded.

    Raises:
        StoreError: The file is of a newer schema.
    """
    check_version(int(file.attrs["schema_version"]), name)
    return {key: _decode_attribute(value) for key, value in file.attrs.items()}


def check_columns(file: h5py.File) -> None:
    """Check types, storage and lengths of the columns of an open file, before they are read.

    Raises:
        KeyError: The file lacks a column of its schema.
        ValueError: A column leads elsewhere, claims more than is stored, or is of another length.
    """
    lengths = {len(open_dataset(file, name, COLUMNS[name].dtypes)) for name in COLUMNS if not _is_older(file, name)}
    if len(lengths) > 1:
        raise ValueError(f"its columns have {sorted(lengths)} rows")


def read_column(file: h5py.File, name: str, rows: Any = ...) -> np.ndarray:
    """Read rows of a column of an open file, by default all; NaN or no values for a column newer than the file.

    Raises:
        KeyError: The file lacks a column of its schema.
    """
    column = _undefined(COLUMNS[name], len(file["index"])) if _is_older(file, name) else file[name]
    values: np.ndarray = column[rows]
    return values


def read_failures(file: h5py.File) -> list[Failure]:
    """Read the failures of an open file."""
    table = open_dataset(file, "failures", ("int64",))[...]
    if [table.dtype[column].kind for column in table.dtype.names or ()] != ["i", "S", "S"]:
        raise ValueError(f"failures are {table.dtype}")
    return [Failure(int(index), stage.decode(), error.decode()) for index, stage, error in table.tolist()]


def _is_older(file: h5py.File, name: str) -> bool:
    """Return whether a file's schema is older than a column."""
    return bool(file.attrs["schema_version"] < ADDED_IN_VERSION.get(name, 0))


def _undefined(column: ColumnSchema, rows: int) -> np.ndarray:
    empty = column.empty()
    return np.full((rows, *empty.shape[1:]), np.nan, empty.dtype)


def _create(file: h5py.File, name: str, values: np.ndarray, filters: Mapping[str, Any]) -> None:
    """Create a dataset with a fletcher32 checksum for each HDF5 chunk.

    A map is one chunk, so that reading one explanation reads no other; rows of the small columns share chunks.
    """
    if values.size == 0:  # HDF5 chunks, and so its checksums, need at least one value
        file.create_dataset(name, data=values)
        return
    per_chunk = 1 if name == "attribution" else max(1, _CHUNK_BYTES // values[0].nbytes)
    chunks = (min(per_chunk, len(values)), *values.shape[1:])
    file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, **filters)


def _failure_table(failures: list[Failure]) -> np.ndarray:
    """Compound array (f,) with texts of fixed length.

    HDF5 stores texts of variable length in a heap of the file, which fletcher32 does not cover.
    """
    texts = [
        (failure.index, failure.stage.encode(), failure.error.encode(errors="backslashreplace")) for failure in failures
    ]
    stage = max([1, *(len(row[1]) for row in texts)])
    error = max([1, *(len(row[2]) for row in texts)])
    text = {"stage": h5py.string_dtype("utf-8", stage), "error": h5py.string_dtype("utf-8", error)}
    return np.array(texts, np.dtype([("index", np.int64), *text.items()]))


def _decode_attribute(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value.startswith(("{", "[")) else value
    return value.item() if isinstance(value, np.generic) else value
