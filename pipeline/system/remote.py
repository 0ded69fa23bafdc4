"""Addresses such as ``s3://bucket/folder``: fsspec's file systems, and paths that answer as pathlib's do."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRA = "remote"
# What a process has listed, another may have changed since.
_OPTIONS: dict[str, Any] = {"use_listings_cache": False}


def is_remote(address: str | bytes) -> bool:
    """Whether this names something that is no path of this machine."""
    return b"://" in address if isinstance(address, bytes) else "://" in address


def absolute(root: str) -> str:
    """The full name of a folder, or the address that it is."""
    return root.rstrip("/") if is_remote(root) else str(Path(root).absolute())


def file_system(address: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of an address, and the path on it; asked for in each process, whose connections it holds.

    Raises:
        MissingExtra: The package for such addresses is not installed.
        UsageError: There is no such file system.
    """
    import fsspec  # of the few runs that need it

    try:
        system, path = fsspec.url_to_fs(address, **_OPTIONS)
    except ImportError as error:
        raise MissingExtra(EXTRA, address) from error
    except ValueError as error:
        raise UsageError(f"{address}: {error}") from error
    return system, str(path)


def locate(address: str) -> Path:
    """The path of a file or folder here or elsewhere; one elsewhere is no `Path`, but answers to what is asked of one.

    Raises:
        MissingExtra: The package for such addresses is not installed.
        UsageError: There is no such file system.
    """
    if not is_remote(address):
        return Path(address)
    file_system(address)
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingExtra(EXTRA, address) from error
    located: Any = UPath(address, **_OPTIONS)
    found: Path = located
    return found


def open_file(address: str) -> BinaryIO:
    """Opens a file here or elsewhere to read its bytes.

    Raises:
        OSError: It cannot be opened.
        UsageError: There is no such file system.
    """
    if not is_remote(address):
        return Path(address).open("rb")
    system, path = file_system(address)
    opened: BinaryIO = system.open(path, "rb")
    return opened
