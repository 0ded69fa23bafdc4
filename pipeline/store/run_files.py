"""Paths of the files in a run's folder, and guarded reads of them: the folder may be damaged or untrusted."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreError

MANIFEST = "manifest.h5"
SHARDS = "shards"
WORKERS = "workers"
_FILES_PER_FOLDER = 1000


def shard_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.h5``: a published shard."""
    return _shard_file(run, number, ".h5")


def summary_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.json``: the sha256, counts and sums of a published shard."""
    return _shard_file(run, number, ".json")


def _shard_file(run: Path, number: int, ending: str) -> Path:
    # One join instead of three: a report of a large run builds millions of these paths.
    return run / f"{SHARDS}/{number // _FILES_PER_FOLDER:03d}/{number:07d}{ending}"


def require_regular_file(path: Path, run: Path) -> Path:
    """Return the path of a file in a run's folder, checked before it is opened.

    Raises:
        StoreError: It is a pipe or a device, which may never end, or a link that leads out of the folder.
        FileNotFoundError: There is no such file.
    """
    with convert_read_errors(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(f"{path} is not a regular file")
        if path.is_symlink() and not path.resolve().is_relative_to(run.resolve()):
            raise StoreError(f"{path} is a link that leads out of the run's folder")
    return path


def read_run_file(path: Path, run: Path) -> bytes:
    """Return the bytes of a file in a run's folder.

    Raises:
        StoreError: It is not a regular file, or cannot be read.
        FileNotFoundError: There is no such file.
    """
    with convert_read_errors(path):
        return require_regular_file(path, run).read_bytes()


@contextmanager
def convert_read_errors(path: Path) -> Iterator[None]:
    """Convert errors of reading a file inside the context to `StoreError`; a `FileNotFoundError` passes unchanged.

    Raises:
        StoreError: Permission is missing, the disk reports an error, ...
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error


def refuse_symlink(path: Path) -> Path:
    """Return the path of a folder in a run's folder, checked before something in it is replaced.

    Raises:
        StoreError: It is a symbolic link: the replaced files would be elsewhere.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link, expected a folder of the run: remove the link")
    return path
