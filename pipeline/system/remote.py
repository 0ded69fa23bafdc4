"""Addresses such as ``s3://bucket/folder``: fsspec's file systems, and universal_pathlib's paths for them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRA = "remote"
# fsspec caches listings by default: a process would not see what other processes have written since.
_OPTIONS: dict[str, Any] = {"use_listings_cache": False}


def is_remote(address: str | bytes) -> bool:
    """Return whether this is an address with a scheme, not a path of this machine."""
    return b"://" in address if isinstance(address, bytes) else "://" in address


def absolute(root: str) -> str:
    """Return the absolute path of a folder; an address is returned unchanged, without a slash at its end."""
    return root.rstrip("/") if is_remote(root) else str(Path(root).absolute())


def file_system(address: str) -> "tuple[AbstractFileSystem, str]":
    """Return the file system of an address, and the path on it.

    Call it in each process: the file system has open connections, which a fork must not share.

    Raises:
        MissingExtra: The package for such addresses is not installed.
        UsageError: There is no such file system.
    """
    import fsspec  # here: only few runs need it

    try:
        system, path = fsspec.url_to_fs(address, **_OPTIONS)
    except ImportError as error:
        raise MissingExtra(EXTRA, address) from error
    except ValueError as error:
        raise UsageError(f"{address}: {error}") from error
    return system, str(path)


def to_path(address: str) -> Path:
    """Return the path of a local or remote file; a remote one is not a `Path` but has the methods of one.

    Raises:
        MissingExtra: The package for such addresses is not installed.
        UsageError: There is no such file system.
    """
    if not is_remote(address):
        return Path(address)
    file_system(address)  # for its errors
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingExtra(EXTRA, address) from error
    remote: Any = UPath(address, **_OPTIONS)
    path: Path = remote
    return path


def open_file(address: str) -> BinaryIO:
    """Open a local or remote file for reading bytes.

    Raises:
        OSError: It cannot be opened.
        UsageError: There is no such file system.
    """
    if not is_remote(address):
        return Path(address).open("rb")
    system, path = file_system(address)
    opened: BinaryIO = system.open(path, "rb")
    return opened
