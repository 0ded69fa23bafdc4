"""HDF5: the file format that is written, and checked access to the datasets of an untrusted file."""

from collections.abc import Collection

import h5py

LIBVER = ("v110", "v110")
"""Oldest and newest file format, that of HDF5 1.10: checksums on metadata, attributes above 64 kB, virtual datasets.
Equal content gives equal bytes, whatever the version of the library."""
DAMAGED_FILE_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)
"""Exceptions that h5py raises on a damaged file."""
DEFLATE, SHUFFLE, FLETCHER32 = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
MAX_DEFLATE_RATIO = 1032
"""Bytes that one byte of a deflate stream can expand to, at most (zlib's technical details)."""


def open_dataset(file: h5py.File, name: str, dtypes: Collection[str]) -> h5py.Dataset:
    """Open a dataset that lies in the file itself and is no larger than its stored bytes can hold.

    Args:
        file: Open for reading.
        name: Of the dataset.
        dtypes: Names of the types that it may have; of a compound type, of its first field.

    Raises:
        KeyError: There is no such dataset.
        ValueError: It leads to another file, or claims more than the file can hold.
    """
    # External links, virtual datasets and external storage are HDF5's three ways to read another file of this machine.
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link, for example to another file")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{name} is not a dataset")
    dtype = dataset.dtype[0] if dataset.dtype.names else dataset.dtype
    if dtype.name not in dtypes or dataset.dtype.hasobject:
        raise ValueError(f"{name} is {dataset.dtype}, expected {' or '.join(dtypes)}")
    settings = dataset.id.get_create_plist()
    filters = {settings.get_filter(number)[0] for number in range(settings.get_nfilters())}
    if dataset.is_virtual or settings.get_external_count():
        raise ValueError(f"{name} has its values in another file")
    if filters - {DEFLATE, SHUFFLE, FLETCHER32}:
        raise ValueError(f"{name} needs filters that this project does not write: {sorted(filters)}")
    # A file of 1 kB may claim 10**12 rows, for which reading would allocate memory: chunks that were never written take
    # no room, and read as zeros.
    stored = dataset.id.get_storage_size()
    largest = min(stored, file.id.get_filesize()) * (MAX_DEFLATE_RATIO if DEFLATE in filters else 1)
    if dataset.nbytes > largest:
        raise ValueError(f"{name} claims {dataset.nbytes:,} bytes and has {stored:,}")
    return dataset
