"""Recursive listing of a folder, local or in an object store."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH116, PTH118

import os
from collections.abc import Collection
from typing import Protocol

from pipeline.errors import UsageError
from pipeline.system.remote import file_system, is_remote

# Device and inode of a folder and of all its ancestors: a link to one of them is a loop, and is not followed.
Ancestors = frozenset[tuple[int, int]]


class FileTree(Protocol):
    """A folder whose files can be listed, also from several threads."""

    def list_top(self) -> tuple[list[bytes], list[bytes]]:
        """Lists the names of the folders and of the matching files directly in the root, unsorted."""

    def list_below(self, folders: Collection[bytes]) -> list[bytes]:
        """Lists all matching files below some folders of the root, at any depth, as relative paths, unsorted."""


def open_tree(root: str, extensions: Collection[bytes]) -> FileTree:
    """Opens a folder for listing files by extension.

    Args:
        root: The folder, or its address.
        extensions: Of the files to list, lower case, with the dot; files match in any case. Hidden files and folders,
            whose names begin with a dot, are left out.
    """
    return RemoteTree(root, extensions) if is_remote(root) else LocalTree(root, extensions)


class LocalTree:
    """A local folder; links are followed, except to an ancestor.

    Args:
        root: The folder.
        extensions: Of the files to list, lower case, with the dot.
    """

    def __init__(self, root: str, extensions: Collection[bytes]) -> None:
        self._root = os.fsencode(root)
        self._extensions = extensions

    def list_top(self) -> tuple[list[bytes], list[bytes]]:
        folders, files, _ = self._list(self._root, frozenset())
        return folders, files

    def list_below(self, folders: Collection[bytes]) -> list[bytes]:
        paths: list[bytes] = []
        root = frozenset({_identity(os.stat(self._root))})
        pending = [(folder, root) for folder in folders]
        while pending:
            folder, ancestors = pending.pop()
            subfolders, files, own = self._list(os.path.join(self._root, folder), ancestors)
            paths += [folder + b"/" + name for name in files]
            pending += [(folder + b"/" + name, own) for name in subfolders]
        return paths

    def _list(self, path: bytes, ancestors: Ancestors) -> tuple[list[bytes], list[bytes], Ancestors]:
        """Names of the subfolders and files directly in a folder, and the ancestors of its subfolders."""
        folders, files = [], []
        try:
            own = ancestors | {_identity(os.stat(path))}
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    if _is_folder(entry):
                        if _identity(entry.stat()) not in own:
                            folders.append(entry.name)
                    elif _extension(entry.name) in self._extensions:
                        files.append(entry.name)
        except OSError as error:
            raise UsageError(f"data.root: cannot list {os.fsdecode(path)!r}: {error.strerror}") from error
        return folders, files, own


class RemoteTree:
    """A folder of an object store, or of any other file system of fsspec.

    Args:
        root: Its address.
        extensions: Of the files to list, lower case, with the dot.
    """

    def __init__(self, root: str, extensions: Collection[bytes]) -> None:
        self._root = root
        self._system, self._path = file_system(root)
        self._extensions = extensions

    def list_top(self) -> tuple[list[bytes], list[bytes]]:
        try:
            entries = self._system.ls(self._path, detail=True)
        except OSError as error:
            raise UsageError(f"data.root: cannot list {self._root!r}: {error}") from error
        names = [(self._relative(entry["name"]), entry["type"]) for entry in entries]
        folders = [name for name, kind in names if kind == "directory" and not name.startswith(b".")]
        return folders, [name for name, kind in names if kind == "file" and self._matches(name)]

    def list_below(self, folders: Collection[bytes]) -> list[bytes]:
        paths: list[bytes] = []
        for folder in folders:
            files = self._system.find(f"{self._path}/{os.fsdecode(folder)}")
            paths += [name for name in map(self._relative, files) if self._matches(name)]
        return paths

    def _relative(self, path: str) -> bytes:
        return os.fsencode(path[len(self._path) :].strip("/"))

    def _matches(self, path: bytes) -> bool:
        hidden = path.startswith(b".") or b"/." in path
        return not hidden and _extension(path) in self._extensions


def _extension(path: bytes) -> bytes:
    """Extension with the dot, lower case; for names that are not hidden as `os.path.splitext`, in half the time."""
    name = path[path.rfind(b"/") + 1 :]
    dot = name.rfind(b".")
    return name[dot:].lower() if dot > 0 else b""


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; like a dangling link it is listed, and is an unreadable image later
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
