"""A folder of images -> a sorted list of their paths and classes, without opening one."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH116, PTH118, PTH122

import difflib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.decode import EXTENSIONS
from pipeline.errors import UsageError

log = logging.getLogger(__name__)

ENDINGS = frozenset(os.fsencode(ending) for ending in EXTENSIONS)
# Device and inode of a folder and of those above it: where a link leads back to one of them, the walk stops.
Chain = frozenset[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Paths:
    """Many paths in two arrays: half the memory of as many objects, and stored as they are.

    Attributes:
        blob: All bytes, one path after the other, uint8.
        offsets: Where each path starts in the blob and, last, its length, int64 (n + 1,).
    """

    blob: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_bytes(cls, paths: Iterable[bytes]) -> "Paths":
        listed = list(paths)
        lengths = np.fromiter(map(len, listed), np.int64, len(listed))
        return cls(np.frombuffer(b"".join(listed), np.uint8), np.concatenate([[0], np.cumsum(lengths)]))

    @classmethod
    def join(cls, parts: Sequence["Paths"]) -> "Paths":
        lengths = [np.diff(part.offsets) for part in parts]
        blobs = [part.blob for part in parts]
        return cls(np.concatenate(blobs), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        number = range(len(self))[number]
        return self.blob[self.offsets[number] : self.offsets[number + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def take(self, numbers: np.ndarray) -> "Paths":
        return Paths.from_bytes(self[number] for number in numbers)


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of a data set, in their order.

    Attributes:
        paths: Relative to the root, raw bytes, separated by ``/``.
        folder: Number of each image's class folder, -1 without labels, int32 (n,).
        folders: Names of all class folders, sorted; those of no image too, since classes are counted by them.
    """

    paths: Paths
    folder: np.ndarray
    folders: list[str]


def index_folder(root: str | Path, labels: bool = True) -> ImageIndex:
    """Lists the images below a folder, in the order of (class folder, path within it), compared as bytes.

    An image is what has an image's ending, in any case, at any depth; whether it can be read shows later.
    Links are followed, but not back to a folder above; names beginning with a dot are left out.

    Args:
        root: With labels a folder of class folders, else any folder.
        labels: Whether the folders directly below ``root`` are classes.

    Raises:
        UsageError: A folder cannot be listed, or there is no image, or no class folder.
    """
    top = os.fsencode(root)
    folders, images, chain = _list(top, frozenset())
    if not labels:
        paths = Paths.from_bytes(sorted(images + _images_below(top, folders, chain)))
        index = ImageIndex(paths, np.full(len(paths), -1, np.int32), [])
    elif folders:
        if images:
            log.warning("%d images directly in %r are in no class folder: left out", len(images), str(root))
        parts = [Paths.from_bytes(sorted(_images_below(top, [folder], chain))) for folder in sorted(folders)]
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        index = ImageIndex(Paths.join(parts), numbers, [os.fsdecode(folder) for folder in sorted(folders)])
    else:
        advice = "use data.labels=false, or give the folder above" if images else "the folder is empty"
        raise UsageError(f"data.root={str(root)!r} has no class folders: {advice}")
    if not len(index.paths):
        known = " ".join(sorted(EXTENSIONS))
        raise UsageError(f"data.root={str(root)!r}: no images below it (known endings: {known})")
    return index


def sample(
    index: ImageIndex,
    *,
    limit: int | None = None,
    per_class: int | None = None,
    classes: Sequence[str] | None = None,
) -> ImageIndex:
    """Some of the images, always the same ones; the class folders stay, so that the class numbers do.

    Args:
        index: All images.
        limit: At most so many images, evenly spread over what the other two leave.
        per_class: At most so many images of each class folder.
        classes: Names of the class folders to take.

    Raises:
        UsageError: Classes of an unlabelled folder, an unknown class, a number below 1, or no image left.
    """
    if (classes is not None or per_class is not None) and not index.folders:
        raise UsageError("data.classes and data.per_class need class folders: data.labels is false")
    if any(number is not None and number < 1 for number in (limit, per_class)):
        raise UsageError(f"data.limit={limit} data.per_class={per_class}: expected a number above 0, or null")
    chosen = np.arange(len(index.paths))
    if classes is not None:
        chosen = chosen[np.isin(index.folder, [_folder_number(index.folders, name) for name in classes])]
    if per_class is not None:
        first = np.searchsorted(index.folder, index.folder)
        chosen = chosen[chosen - first[chosen] < per_class]
    if limit is not None and limit < len(chosen):
        chosen = chosen[np.arange(limit) * len(chosen) // limit]
    if not len(chosen):
        raise UsageError(f"data.classes={list(classes or [])}: no images in these folders")
    return ImageIndex(index.paths.take(chosen), index.folder[chosen], index.folders)


def _folder_number(folders: list[str], name: str) -> int:
    if name in folders:
        return folders.index(name)
    near = difflib.get_close_matches(name, folders)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the first is {folders[0]!r}"
    raise UsageError(f"data.classes: no class folder {name!r} among {len(folders)}; {advice}")


def _images_below(top: bytes, folders: list[bytes], chain: Chain) -> list[bytes]:
    """Paths, relative to ``top``, of all images in some of its folders, at any depth, in no order."""
    found: list[bytes] = []
    pending = [(folder, chain) for folder in folders]
    while pending:
        folder, above = pending.pop()
        folders_inside, images, here = _list(os.path.join(top, folder), above)
        found += [folder + b"/" + name for name in images]
        pending += [(folder + b"/" + name, here) for name in folders_inside]
    return found


def _list(path: bytes, above: Chain) -> tuple[list[bytes], list[bytes], Chain]:
    """Names of the folders and of the images directly in a folder, and the chain that ends in it."""
    folders, images = [], []
    try:
        here = above | {_identity(os.stat(path))}
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(b"."):
                    continue
                if _is_folder(entry):
                    if _identity(entry.stat()) not in here:
                        folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
                    images.append(entry.name)
    except OSError as error:
        raise UsageError(f"data.root: cannot list {os.fsdecode(path)!r}: {error.strerror}") from error
    return folders, images, here


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: as a dangling link, an image that cannot be read
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
