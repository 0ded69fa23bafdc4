"""Index of the images that a list file names, one path a line, in its order; no folder is listed."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from pipeline.data.image_index import IMAGE_EXTENSIONS, ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled_index
from pipeline.errors import UsageError
from pipeline.system.remote import open_file

_BLOCK_LINES = 100_000
"""Lines parsed at a time; only these are in memory as Python objects."""

_EXTENSIONS = tuple(IMAGE_EXTENSIONS)
_PATH_AND_MORE = re.compile(
    rb"(.+(?:" + b"|".join(map(re.escape, sorted(_EXTENSIONS))) + rb"))([\s,;].*)", re.IGNORECASE
)
"""An image's path, and what follows after a blank, comma or semicolon."""

LineError = Callable[[int, str], UsageError]
"""Line number from 0, and message -> the error to raise."""


def read_list(file: str, labels: bool = True) -> ImageIndex:
    """Reads a list of images.

    A line is a path, relative to ``data.root``, as raw bytes, and optionally a TAB and a label, on all lines or on
    none: a class number, or a name where not all are numbers. Without labels the first folder of a path is its class.
    A byte order mark of UTF-8 at the beginning is skipped.

    Args:
        file: The list, also an address such as ``s3://bucket/list.txt``.
        labels: False ignores all labels and folders.

    Raises:
        UsageError: The list cannot be read or is empty, or a line is invalid; the message has its number.
    """

    def line_error(line: int, message: str) -> UsageError:
        return UsageError(f"data.list={file}, line {line + 1}: {message}")

    encoder, parts, codes, hashes = LabelEncoder(), list[ImagePaths](), list[np.ndarray](), list[np.ndarray]()
    n_fields = 0
    try:
        with open_file(file) as opened:
            for first, lines in _blocks(opened):
                if first == 0:
                    _skip_byte_order_mark(lines, line_error)
                rows = [line.rstrip(b"\r\n").split(b"\t", 1) for line in lines]
                n_fields = n_fields or len(rows[0])
                _check(rows, first, n_fields, line_error)
                parts.append(ImagePaths.from_bytes(row[0] for row in rows))
                hashes.append(np.fromiter((hash(row[0]) for row in rows), np.int64, len(rows)))
                if labels:
                    codes.append(encoder.encode(_labels(rows, first, line_error)))
    except OSError as error:
        raise UsageError(f"data.list={file} cannot be read: {error.strerror or error}") from error
    if not parts:
        raise UsageError(f"data.list={file} is empty")
    paths = ImagePaths.join(parts)
    _check_unique(paths, np.concatenate(hashes), line_error)
    if not labels:
        return unlabelled_index(paths)
    index = encoder.index(paths, np.concatenate(codes))
    return index if n_fields == 2 else replace(index, label=None)  # folders, which mean classes as in a tree


def _blocks(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Blocks of lines, each with the number of its first."""
    first, lines = 0, iter(lines)
    while block := list(islice(lines, _BLOCK_LINES)):
        yield first, block
        first += len(block)


def _skip_byte_order_mark(lines: list[bytes], line_error: LineError) -> None:
    """Removes UTF-8's mark from the first line; raises UsageError for UTF-16, in which paths are not bytes."""
    lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    if lines[0].startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in lines[0]:
        raise line_error(0, "the file is in UTF-16: save it as UTF-8")


def _check(rows: list[list[bytes]], first: int, n_fields: int, line_error: LineError) -> None:
    for line, fields in enumerate(rows, first):
        path = fields[0]
        if not path:
            raise line_error(line, "there is no path")
        if len(fields) != n_fields:
            raise line_error(line, f"a label after a TAB must be on all lines or on none{_advice(path)}")
        if path.startswith(b"/") or b"://" in path:
            raise line_error(line, f"{path!r} is not relative to data.root")
        if b"\0" in path or (b".." in path and b".." in path.split(b"/")):
            raise line_error(line, f"{path!r} leads out of data.root")
        if b"\\" in path:
            raise line_error(line, f"{path!r} has a backslash: folders are separated by /")
        is_image = path.lower().endswith(_EXTENSIONS)
        if not is_image and (advice := _advice(path)):
            raise line_error(line, f"{path!r} is no path of an image{advice}")
        if not is_image and len(fields) == 2 and fields[1].strip().lower().endswith(_EXTENSIONS):
            raise line_error(line, f"{path!r} is no path of an image: the path comes first, then a TAB and the label")


def _advice(path: bytes) -> str:
    """Advice on a path that is followed by more on its line; empty for others."""
    parts = _PATH_AND_MORE.fullmatch(path)
    if parts is None or path.lower().endswith(_EXTENSIONS):
        return ""
    return f": {parts[2]!r} follows {parts[1]!r}; a TAB separates a path and its label"


def _labels(rows: list[list[bytes]], first: int, line_error: LineError) -> Iterator[bytes]:
    """The label of each line or, in a list without labels, the first folder of its path."""
    for line, fields in enumerate(rows, first):
        folder, separator, _ = fields[0].removeprefix(b"./").partition(b"/")  # find prints ./folder/image
        label = fields[1].strip() if len(fields) > 1 else folder if separator else b""
        if not label:
            raise line_error(line, "neither a label after a TAB nor a class folder; data.labels=false needs none")
        yield label


def _check_unique(paths: ImagePaths, hashes: np.ndarray, line_error: LineError) -> None:
    """Raises UsageError if a path occurs twice; equal hashes are compared by path."""
    order = np.argsort(hashes, kind="stable")
    for position in np.flatnonzero(np.diff(hashes[order]) == 0).tolist():
        one, other = int(order[position]), int(order[position + 1])
        if paths[one] == paths[other]:
            raise line_error(other, f"{paths[one]!r} is on line {one + 1} already")
