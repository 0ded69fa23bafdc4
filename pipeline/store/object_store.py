"""Files of a run in an object store: one atomic PUT each, read through a temporary local copy, versioned by ETag."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError


def is_object_path(path: Path) -> bool:
    """Return whether a path is in an object store, as :func:`pipeline.system.remote.to_path` makes them."""
    return not isinstance(path, Path)


def put_object(data: bytes, path: Path, *, overwrite: bool) -> bool:
    """Put an object atomically, in one request (above 100 MB in several parts, which appear together).

    Args:
        data: Its content.
        path: Its name.
        overwrite: Whether it may replace an object of the same name. If not, the PUT is conditional (If-None-Match: *).
            A store without conditional PUTs may replace a complete file by a second complete file of the same rows.

    Returns:
        True if the object of this name is now the given one.

    Raises:
        StoreError: It cannot be put.
    """
    remote: Any = path  # a universal_pathlib.UPath: it has fsspec's file system, which pathlib.Path has not
    try:
        remote.fs.pipe_file(remote.path, data, mode="overwrite" if overwrite else "create")
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be put: {error}; all files published before are intact") from error
    return True


@contextmanager
def as_local_file(path: Path) -> Iterator[Path]:
    """Give a path that this machine can open and memory-map: the file itself, or a temporary copy of an object.

    The copy is unlinked at the end of the context; file handles and memory maps opened inside remain valid (POSIX).

    Raises:
        StoreError: The object cannot be read.
        FileNotFoundError: There is no such object.
    """
    if not is_object_path(path):
        yield path
        return
    remote: Any = path
    with tempfile.NamedTemporaryFile(prefix="pipeline-") as copy:
        try:
            remote.fs.get_file(remote.path, copy.name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        yield Path(copy.name)


def file_version(path: Path) -> object:
    """Return a value that changes whenever the file is replaced: ETag, or inode and time of change."""
    if is_object_path(path):
        remote: Any = path
        info = remote.fs.info(remote.path)
        return info.get("ETag"), str(info.get("LastModified")), info["size"]
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
