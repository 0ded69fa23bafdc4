"""Parts of an HDF5 file that may be a stranger's: what lies in it itself, no larger than its bytes bear out."""

from collections.abc import Collection

import h5py

DEFLATE, SHUFFLE, FLETCHER32 = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
MOST_DEFLATED = 1032
"""Bytes that a byte can stand for, at most, in a deflate stream (zlib's own documentation)."""


def dataset(file: h5py.File, name: str, dtypes: Collection[str]) -> h5py.Dataset:
    """A dataset of a file, before anything of it is read.

    Args:
        file: Open for reading.
        name: Of the dataset.
        dtypes: Names of the types that it may have; of a compound type, of its first field.

    Raises:
        KeyError: There is none.
        ValueError: It leads to another file, or claims what the file cannot hold.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link, such as to another file")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise ValueError(f"{name} is no dataset")
    kind = found.dtype[0] if found.dtype.names else found.dtype
    if kind.name not in dtypes or found.dtype.hasobject:
        raise ValueError(f"{name} is {found.dtype}, expected {' or '.join(dtypes)}")
    settings = found.id.get_create_plist()
    filters = {settings.get_filter(number)[0] for number in range(settings.get_nfilters())}
    if found.is_virtual or settings.get_external_count():
        raise ValueError(f"{name} has its values in another file")
    if filters - {DEFLATE, SHUFFLE, FLETCHER32}:
        raise ValueError(f"{name} needs filters that this project does not write: {sorted(filters)}")
    stored = found.id.get_storage_size()
    most = min(stored, file.id.get_filesize()) * (MOST_DEFLATED if DEFLATE in filters else 1)
    if found.nbytes > most:
        raise ValueError(f"{name} claims {found.nbytes:,} bytes and has {stored:,}")
    return found
