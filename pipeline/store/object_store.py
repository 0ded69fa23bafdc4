"""Files of a run that lie elsewhere, such as in an object store: put whole, read through a copy, known by their tag."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError


def is_object(path: Path) -> bool:
    """Whether this path is none of this machine's, as :func:`pipeline.system.remote.locate` makes them."""
    return not isinstance(path, Path)


def put_object(data: bytes, path: Path, *, over: bool) -> bool:
    """Puts an object whole, in one request (in parts above 100 MB, which appear together).

    Args:
        data: Its content.
        path: Its name.
        over: Whether it may take the place of another. If not, the store is asked to put it only where there is none
            (If-None-Match); one that cannot may replace a whole file by a second whole one of the same rows.

    Returns:
        Whether this is what is there now.

    Raises:
        StoreError: It cannot be put.
    """
    place: Any = path
    try:
        place.fs.pipe_file(place.path, data, mode="overwrite" if over else "create")
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be put: {error}; what was published before is whole") from error
    return True


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """A path that this machine can open and map: the file itself, or a copy, which goes; what is open of it stays.

    Raises:
        StoreError: A copy cannot be had.
        FileNotFoundError: It is not there.
    """
    if not is_object(path):
        yield path
        return
    place: Any = path
    with tempfile.NamedTemporaryFile(prefix="pipeline-") as copy:
        try:
            place.fs.get_file(place.path, copy.name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        yield Path(copy.name)


def file_version(path: Path) -> object:
    """What is another once a file has been replaced."""
    if is_object(path):
        place: Any = path
        found = place.fs.info(place.path)
        return found.get("ETag"), str(found.get("LastModified")), found["size"]
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
