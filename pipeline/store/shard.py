"""Rows <-> the bytes of one HDF5 file, built in memory: on a full disk h5py itself would crash."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import h5py
import numpy as np

from pipeline.errors import Failure, StoreError
from pipeline.store.hdf5 import dataset
from pipeline.store.schema import ADDED, COLUMNS, SCHEMA_VERSION, Column, Rows, canonical_json, check_version

FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
}
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)  # what h5py raises on a damaged file
_CHUNK_BYTES = 1 << 18
_SEAL_BYTES = 32
_PIECE_BYTES = 1 << 20


def encode(rows: Rows, attributes: Mapping[str, Any], *, filter: str = "none") -> memoryview:
    """One file of rows and failures; equal content gives equal bytes.

    Args:
        rows: Sorted, as :meth:`Rows.join` gives them.
        attributes: Of the file; mappings and sequences are stored as JSON.
        filter: A name of `FILTERS`, for the maps.
    """
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        for name, column in COLUMNS.items():
            values = rows.columns[name] if rows.columns else column.empty()
            _create(file, name, values, FILTERS[filter] if name == "attribution" else {})
        _create(file, "failures", _failure_table(rows.failures), {})
        counts = {"schema_version": SCHEMA_VERSION, "rows": len(rows), "images": len(rows.images)}
        for name, value in sorted({**attributes, **counts}.items()):
            plain = isinstance(value, (str, int, float, np.generic))
            file.attrs[name] = value if plain else canonical_json(value)
    return memoryview(stream.getvalue())  # shares its bytes; getbuffer() would keep the stream from being freed


def decode(stream: BinaryIO, name: object) -> tuple[Rows, dict[str, Any]]:
    """The rows and attributes of one file.

    Args:
        stream: Its bytes.
        name: What messages call it.

    Raises:
        StoreError: It is damaged, incomplete or of a newer schema.
    """
    try:
        with h5py.File(stream, "r") as file:
            attributes = read_attributes(file, name)
            check_columns(file)
            rows = Rows({column: read_column(file, column) for column in COLUMNS}, read_failures(file))
        rows.check()
        said = (attributes["rows"], attributes["images"])
    except DAMAGE as error:
        raise StoreError(f"{name} is damaged: {error}") from error
    if (len(rows), len(rows.images)) != said:
        raise StoreError(f"{name} is damaged: it has {len(rows)} rows and says {said[0]}")
    return (rows if len(rows) else Rows({}, rows.failures)), attributes


def read_attributes(file: h5py.File, name: object) -> dict[str, Any]:
    """The attributes of an open file, JSON read.

    Raises:
        StoreError: The file is of a newer schema.
    """
    check_version(int(file.attrs["schema_version"]), name)
    return {key: _plain(value) for key, value in file.attrs.items()}


def check_columns(file: h5py.File) -> None:
    """Holds the columns of an open file against their types and one another, before they are read.

    Raises:
        KeyError: The file lacks a column of its schema.
        ValueError: A column leads elsewhere, claims more than there is, or is of another length.
    """
    lengths = {len(dataset(file, name, COLUMNS[name].dtypes)) for name in COLUMNS if not _lacks(file, name)}
    if len(lengths) > 1:
        raise ValueError(f"its columns have {sorted(lengths)} rows")


def read_column(file: h5py.File, name: str, rows: Any = ...) -> np.ndarray:
    """Rows of a column of an open file, all by default; NaN or nothing for what files of its schema do not have.

    Raises:
        KeyError: The file lacks a column of its schema.
    """
    column = file[name] if not _lacks(file, name) else _missing(COLUMNS[name], len(file["index"]))
    values: np.ndarray = column[rows]
    return values


def read_failures(file: h5py.File) -> list[Failure]:
    """The failures of an open file."""
    table = dataset(file, "failures", ("int64",))[...]
    if [table.dtype[column].kind for column in table.dtype.names or ()] != ["i", "S", "S"]:
        raise ValueError(f"failures are {table.dtype}")
    return [Failure(int(index), stage.decode(), error.decode()) for index, stage, error in table.tolist()]


def seal(data: memoryview) -> bytes:
    """The bytes of a part or a manifest: a file with its sha256 behind it, where HDF5 does not look."""
    return bytes(data) + hashlib.sha256(data).digest()


def unseal(data: bytes) -> BinaryIO | None:
    """The file in a part, or None if the part is not what was sealed."""
    content, digest = memoryview(data)[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    return io.BytesIO(content) if hashlib.sha256(content).digest() == digest else None


def is_sealed(file: BinaryIO) -> bool:
    """Whether a file's last bytes are the sha256 of what is before them; read piece by piece."""
    left = file.seek(0, os.SEEK_END) - _SEAL_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
        digest.update(piece)
        left -= len(piece)
    return file.read() == digest.digest()


def _lacks(file: h5py.File, name: str) -> bool:
    return bool(file.attrs["schema_version"] < ADDED.get(name, 0))


def _missing(column: Column, rows: int) -> np.ndarray:
    empty = column.empty()
    return np.full((rows, *empty.shape[1:]), np.nan, empty.dtype)


def _create(file: h5py.File, name: str, values: np.ndarray, filters: Mapping[str, Any]) -> None:
    """A dataset with checksums; a map is a chunk, other rows share one."""
    if values.size == 0:
        file.create_dataset(name, data=values)
        return
    per_chunk = 1 if name == "attribution" else max(1, _CHUNK_BYTES // values[0].nbytes)
    chunks = (min(per_chunk, len(values)), *values.shape[1:])
    file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, **filters)


def _failure_table(failures: list[Failure]) -> np.ndarray:
    """Compound (f,) with texts of fixed length: checksums would not cover texts of variable length."""
    texts = [
        (failure.index, failure.stage.encode(), failure.error.encode(errors="backslashreplace")) for failure in failures
    ]
    stage = max([1, *(len(row[1]) for row in texts)])
    error = max([1, *(len(row[2]) for row in texts)])
    text = {"stage": h5py.string_dtype("utf-8", stage), "error": h5py.string_dtype("utf-8", error)}
    return np.array(texts, np.dtype([("index", np.int64), *text.items()]))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value.startswith(("{", "[")) else value
    return value.item() if isinstance(value, np.generic) else value
