"""A file with a path on each line -> the images that it names, in its order; no folder is listed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled
from pipeline.errors import UsageError
from pipeline.system.remote import open_file

_LINES = 100_000
"""Lines that are held as objects at once."""

Complain = Callable[[int, str], UsageError]


def read_list(file: str, labels: bool = True) -> ImageIndex:
    """Reads a list of images.

    A line is a path, relative to ``data.root``, as raw bytes, and optionally a TAB and a label, on all lines or on
    none: a class number, or a name where not all are numbers. Without labels the first folder of a path is its class.

    Args:
        file: The list, also an address such as ``s3://bucket/list.txt``.
        labels: False ignores all labels and folders.

    Raises:
        UsageError: The list cannot be read or is empty, or a line is none of these; it is named by its number.
    """

    def complain(line: int, what: str) -> UsageError:
        return UsageError(f"data.list={file}, line {line + 1}: {what}")

    words, parts, numbers, hashes = LabelEncoder(), list[ImagePaths](), list[np.ndarray](), list[np.ndarray]()
    fields = 0
    try:
        with open_file(file) as opened:
            for first, lines in _blocks(opened):
                cut = [line.rstrip(b"\r\n").split(b"\t", 1) for line in lines]
                fields = fields or len(cut[0])
                _check(cut, first, fields, complain)
                parts.append(ImagePaths.from_bytes(line[0] for line in cut))
                hashes.append(np.fromiter((hash(line[0]) for line in cut), np.int64, len(cut)))
                if labels:
                    numbers.append(words.numbers(_labels(cut, first, complain)))
    except OSError as error:
        raise UsageError(f"data.list={file} cannot be read: {error.strerror or error}") from error
    if not parts:
        raise UsageError(f"data.list={file} is empty")
    paths = ImagePaths.join(parts)
    _check_once(paths, np.concatenate(hashes), complain)
    if not labels:
        return unlabelled(paths)
    index = words.index(paths, np.concatenate(numbers))
    return index if fields == 2 else replace(index, label=None)  # a folder's number is no class number


def _blocks(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The number of the first of some lines, and these."""
    first, lines = 0, iter(lines)
    while block := list(islice(lines, _LINES)):
        yield first, block
        first += len(block)


def _check(cut: list[list[bytes]], first: int, n_fields: int, complain: Complain) -> None:
    for line, fields in enumerate(cut, first):
        path = fields[0]
        if not path:
            raise complain(line, "there is no path")
        if len(fields) != n_fields:
            raise complain(line, "a label after a TAB must be on all lines or on none")
        if path.startswith(b"/") or b"://" in path:
            raise complain(line, f"{path!r} is not relative to data.root")
        if b"\0" in path or (b".." in path and b".." in path.split(b"/")):
            raise complain(line, f"{path!r} leads out of data.root")


def _labels(cut: list[list[bytes]], first: int, complain: Complain) -> Iterator[bytes]:
    """The label of each line, or the first folder of its path if there is none on any."""
    for line, fields in enumerate(cut, first):
        label = fields[1].strip() if len(fields) > 1 else fields[0].partition(b"/")[0] if b"/" in fields[0] else b""
        if not label:
            raise complain(line, "neither a label after a TAB nor a class folder; data.labels=false takes it without")
        yield label


def _check_once(paths: ImagePaths, hashes: np.ndarray, complain: Complain) -> None:
    """Raises UsageError if a path is there twice."""
    order = np.argsort(hashes, kind="stable")
    for place in np.flatnonzero(np.diff(hashes[order]) == 0).tolist():
        one, other = int(order[place]), int(order[place + 1])
        if paths[one] == paths[other]:
            raise complain(other, f"{paths[one]!r} is on line {one + 1} already")
