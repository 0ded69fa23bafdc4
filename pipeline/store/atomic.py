"""Atomic and durable writes: a reader sees a complete file or none, after a kill, a crash or on a full disk.

Every file of a run except heartbeats and logs is written here, in four steps:

1. write a temporary file beside the final name,
2. fsync it, so that its bytes reach the disk before its name does,
3. give it its final name in one system call: :func:`publish` by a hard link, which fails if the name is taken, so of
   several writers exactly one wins; :func:`atomic_write` by a rename, which replaces an older file,
4. fsync the folder, so that the name survives a power cut too.

Both are idempotent and need no locks. In an object store one conditional PUT has the same effect.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.store.object_store import is_object_path, put_object
from pipeline.system.process_id import is_dead, machine_id

Data = bytes | memoryview | list[memoryview]
"""The content of a file, or consecutive pieces of it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
_TEMPORARY = re.compile(r"\..+~(?P<machine>[^~]+)~(?P<process>\d+)~[0-9a-f]{8}\.tmp")
_ABANDONED_SECONDS = 3600


class Unwritable(StoreError):
    """A file cannot be written, for example because permission is missing; published files are intact."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror}; all files published before are intact")


class DiskFull(StoreError):
    """The disk or the quota has no room for a file; published files are intact."""

    def __init__(self, path: Path, needed: int) -> None:
        free = shutil.disk_usage(path.parent if path.parent.exists() else path.anchor or ".").free
        super().__init__(
            f"the disk (or quota) of {path.parent} is full: {path.name} needs {needed:,} bytes, "
            f"{free:,} are free; make room, then give the same command again: it resumes where it stopped"
        )


def publish(data: Data, path: Path) -> bool:
    """Write a file atomically and durably, unless one of that name exists.

    Returns:
        True if this copy was published; False if another writer was first, whose file then stays unchanged.

    Raises:
        DiskFull: The disk has no room for it.
        Unwritable: It cannot be written for another reason.
    """
    if is_object_path(path):
        return put_object(b"".join(_pieces(data)), path, overwrite=False)
    with _temporary_file(data, path) as temporary:
        published = _link(temporary, path)
        _sync_folder(path.parent)
    return published


def atomic_write(data: Data, path: Path) -> None:
    """Write a file atomically and durably; it replaces an existing one.

    Raises:
        DiskFull: The disk has no room for it.
        Unwritable: It cannot be written for another reason.
    """
    if is_object_path(path):
        put_object(b"".join(_pieces(data)), path, overwrite=True)
        return
    with _temporary_file(data, path) as temporary:
        temporary.replace(path)
        _sync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Return whether this is the name of a temporary file, of a living writer or of a dead one."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_orphans(folder: Path) -> None:
    """Remove the temporary files that dead writers left directly in a folder."""
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and (is_dead(match["machine"], int(match["process"])) or _is_abandoned(path)):
            path.unlink(missing_ok=True)


@contextmanager
def _temporary_file(data: Data, path: Path) -> Iterator[Path]:
    """Write and fsync the data beside its final name; remove that file at the end of the context."""
    name = f".{path.name}~{machine_id()}~{os.getpid()}~{secrets.token_hex(4)}.tmp"
    temporary = path.with_name(name)
    try:
        try:
            _make_folder(path.parent)
            _write(data, temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(path, sum(map(len, _pieces(data)))) from error
        raise Unwritable(path, error) from error


def _pieces(data: Data) -> list[memoryview]:
    return data if isinstance(data, list) else [memoryview(data)]


def _write(data: Data, path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for remaining in _pieces(data):
            while remaining:  # os.write may write less than it was given
                remaining = remaining[os.write(file, remaining) :]
        os.fsync(file)
    finally:
        os.close(file)


def _link(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        # NFS: a client repeats a link whose reply was lost, and then finds its own link in the way. The link count of
        # the temporary file shows who made the link: above 1, this writer did.
        return temporary.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # exFAT and some network mounts have no hard links. Race: two writers may both pass this check; then the second
        # file, complete and of the same rows, replaces the first.
        if path.exists():
            return False
        temporary.rename(path)
    return True


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)  # a new folder is an entry of its parent


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:  # some network mounts cannot, and need not
            raise
    finally:
        os.close(file)


def _is_abandoned(path: Path) -> bool:
    """Return whether a temporary file is so old that its writer must be dead, on whatever machine."""
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False
