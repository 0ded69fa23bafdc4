"""Files that appear whole or not at all, on disks that fill up and machines that stop, without locks."""

import errno
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.store.object_store import is_object, put_object

Data = bytes | memoryview | list[memoryview]
"""The content of a file, or its pieces, one after the other."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
_TEMPORARY = re.compile(r"\..+~(?P<machine>[^~]+)~(?P<process>\d+)~[0-9a-f]{8}\.tmp")
_ABANDONED_SECONDS = 3600


class Unwritable(StoreError):
    """A file cannot be written, such as for missing permission; what was published before is whole."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror}; what was published before is whole")


class DiskFull(StoreError):
    """There is no room, or quota, for a file; what was published before is whole."""

    def __init__(self, path: Path, needed: int) -> None:
        free = shutil.disk_usage(path.parent if path.parent.exists() else path.anchor or ".").free
        super().__init__(
            f"the disk (or quota) of {path.parent} is full: {path.name} needs {needed:,} bytes, "
            f"{free:,} are free; make room and give the same command again, it goes on where it stopped"
        )


def publish(data: Data, path: Path) -> bool:
    """Puts a file at its name, durably, unless one is there already.

    Returns:
        Whether this copy was published; False if another was first, which is then left as it is.

    Raises:
        DiskFull: There is no room for it.
        Unwritable: It cannot be written for another reason.
    """
    if is_object(path):
        return put_object(b"".join(_pieces(data)), path, over=False)
    with _temporary(data, path) as temporary:
        published = _link(temporary, path)
        _sync_folder(path.parent)
    return published


def replace(data: Data, path: Path) -> None:
    """Puts a file at its name, durably, in place of what is there.

    Raises:
        DiskFull: There is no room for it.
        Unwritable: It cannot be written for another reason.
    """
    if is_object(path):
        put_object(b"".join(_pieces(data)), path, over=True)
        return
    with _temporary(data, path) as temporary:
        temporary.replace(path)
        _sync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that is being written, or was when its writer died."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_orphans(folder: Path) -> None:
    """Removes the temporary files that dead writers left directly in a folder."""
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and (is_dead(match["machine"], int(match["process"])) or _is_old(path)):
            path.unlink(missing_ok=True)


def machine() -> str:
    """Where a process number means something: the host and, in containers, its process namespace."""
    namespace = Path("/proc/self/ns/pid")
    host = socket.gethostname().replace("~", "-")
    return f"{host}.{namespace.stat().st_ino}" if namespace.exists() else host


def is_dead(where: str, process: int) -> bool:
    """Whether a process is known to be gone; of another machine's nothing is known."""
    if where != machine():
        return False
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"  # nobody asked how it ended
    except (ProcessLookupError, FileNotFoundError):
        return True
    except PermissionError:  # alive, another user's
        return False


@contextmanager
def _temporary(data: Data, path: Path) -> Iterator[Path]:
    """A synced copy of the data beside its final name, gone at the end."""
    name = f".{path.name}~{machine()}~{os.getpid()}~{secrets.token_hex(4)}.tmp"
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
        for left in _pieces(data):
            while left:
                left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def _link(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        # NFS may repeat a link whose answer was lost, and then find its own
        return temporary.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # exFAT and some network mounts. Two writers may both pass this check: then the second whole file,
        # of the same rows, takes the place of the first.
        if path.exists():
            return False
        temporary.rename(path)
    return True


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:  # some network mounts cannot, and need not
            raise
    finally:
        os.close(file)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False
