"""What lies in a folder, here or elsewhere, at any depth."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH116, PTH118

import os
from collections.abc import Collection
from typing import Protocol

from pipeline.errors import UsageError
from pipeline.system.remote import file_system, is_remote

# Device and inode of a folder and of those above it: where a link leads back to one of them, the walk stops.
Chain = frozenset[tuple[int, int]]


class FileTree(Protocol):
    """A folder whose files can be listed, also from several threads."""

    def top(self) -> tuple[list[bytes], list[bytes]]:
        """Names of the folders and of the wanted files directly in it, in no order."""

    def below(self, folders: Collection[bytes]) -> list[bytes]:
        """Paths, relative to the root, of all wanted files in some of its folders, at any depth, in no order."""


def tree(root: str, endings: Collection[bytes]) -> FileTree:
    """The files below a folder that have one of some endings, in any case; what begins with a dot is left out."""
    return RemoteTree(root, endings) if is_remote(root) else LocalTree(root, endings)


class LocalTree:
    """A folder of this machine; links are followed, but not back to a folder above.

    Args:
        root: The folder.
        endings: Of the wanted files, lower case, with the dot.
    """

    def __init__(self, root: str, endings: Collection[bytes]) -> None:
        self._root = os.fsencode(root)
        self._endings = endings

    def top(self) -> tuple[list[bytes], list[bytes]]:
        folders, files, _ = self._list(self._root, frozenset())
        return folders, files

    def below(self, folders: Collection[bytes]) -> list[bytes]:
        found: list[bytes] = []
        root = frozenset({_identity(os.stat(self._root))})
        pending = [(folder, root) for folder in folders]
        while pending:
            folder, above = pending.pop()
            inside, files, here = self._list(os.path.join(self._root, folder), above)
            found += [folder + b"/" + name for name in files]
            pending += [(folder + b"/" + name, here) for name in inside]
        return found

    def _list(self, path: bytes, above: Chain) -> tuple[list[bytes], list[bytes], Chain]:
        """Names of the folders and of the files directly in a folder, and the chain that ends in it."""
        folders, files = [], []
        try:
            here = above | {_identity(os.stat(path))}
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    if _is_folder(entry):
                        if _identity(entry.stat()) not in here:
                            folders.append(entry.name)
                    elif _ending(entry.name) in self._endings:
                        files.append(entry.name)
        except OSError as error:
            raise UsageError(f"data.root: cannot list {os.fsdecode(path)!r}: {error.strerror}") from error
        return folders, files, here


class RemoteTree:
    """A folder of an object store, or of whatever else fsspec lists.

    Args:
        root: Its address.
        endings: Of the wanted files, lower case, with the dot.
    """

    def __init__(self, root: str, endings: Collection[bytes]) -> None:
        self._root = root
        self._system, self._path = file_system(root)
        self._endings = endings

    def top(self) -> tuple[list[bytes], list[bytes]]:
        try:
            listed = self._system.ls(self._path, detail=True)
        except OSError as error:
            raise UsageError(f"data.root: cannot list {self._root!r}: {error}") from error
        names = [(self._relative(entry["name"]), entry["type"]) for entry in listed]
        folders = [name for name, kind in names if kind == "directory" and not name.startswith(b".")]
        return folders, [name for name, kind in names if kind == "file" and self._is_wanted(name)]

    def below(self, folders: Collection[bytes]) -> list[bytes]:
        found: list[bytes] = []
        for folder in folders:
            below = self._system.find(f"{self._path}/{os.fsdecode(folder)}")
            found += [name for name in map(self._relative, below) if self._is_wanted(name)]
        return found

    def _relative(self, path: str) -> bytes:
        return os.fsencode(path[len(self._path) :].strip("/"))

    def _is_wanted(self, path: bytes) -> bool:
        hidden = path.startswith(b".") or b"/." in path
        return not hidden and _ending(path) in self._endings


def _ending(path: bytes) -> bytes:
    """With the dot, lower case; as `os.path.splitext` has it, in half the time."""
    name = path[path.rfind(b"/") + 1 :]
    dot = name.rfind(b".")
    return name[dot:].lower() if dot > 0 else b""


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: as a dangling link, an image that cannot be read
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
