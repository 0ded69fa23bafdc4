"""Paths and byte ranges of a data set's images, packed into a few arrays."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PAGE = 1 << 14
"""Images per page: the unit in which paths are searched, and verified in a manifest."""


class ImageLocation(NamedTuple):
    """Path and byte range of an image.

    Attributes:
        path: Relative to the root, raw bytes; within an archive ``shard.tar/member`` or ``file.arrow/000123``.
        span: Offset and length in bytes within the archive; None for a file of its own.
    """

    path: bytes
    span: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class ImagePaths:
    """Paths packed into two arrays: half the memory of bytes objects, and stored without conversion.

    Attributes:
        blob: The paths' bytes, concatenated, uint8.
        offsets: Start of each path in the blob and, last, the blob's length, int64 (n + 1,).
        spans: Offset and length in bytes of each image within its archive, int64 (n, 2); None without archives.
    """

    blob: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray | None = None

    @classmethod
    def from_bytes(cls, paths: Iterable[bytes], spans: np.ndarray | None = None) -> "ImagePaths":
        parts = list(paths)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(np.frombuffer(b"".join(parts), np.uint8), np.concatenate([[0], np.cumsum(lengths)]), spans)

    @classmethod
    def join(cls, parts: Sequence["ImagePaths"]) -> "ImagePaths":
        """Concatenates; all parts have spans, or none has."""
        lengths = [np.diff(part.offsets) for part in parts]
        spans = [part.spans for part in parts if part.spans is not None]
        return cls(
            np.concatenate([part.blob for part in parts]),
            np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
            np.concatenate(spans) if spans else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        number = range(len(self))[number]
        self.verify(number, number + 1)
        return self.blob[self.offsets[number] : self.offsets[number + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def location(self, number: int) -> ImageLocation:
        """Path and byte range of an image."""
        span = None if self.spans is None else (int(self.spans[number, 0]), int(self.spans[number, 1]))
        return ImageLocation(self[number], span)

    def take(self, numbers: np.ndarray) -> "ImagePaths":
        spans = None if self.spans is None else self.spans[numbers]
        return ImagePaths.from_bytes((self[number] for number in numbers), spans)

    def verify(self, first: int, end: int) -> None:
        """Verifies images ``first`` to ``end`` before they are read; a subclass over a file does, memory needs none."""

    def find(self, path: bytes) -> int | None:
        """Number of the image with this path, by linear search; None if there is none."""
        for first in range(0, len(self) if path else 0, PAGE):
            offsets = self.offsets[first : first + PAGE + 1]
            self.verify(first, first + len(offsets) - 1)
            blob, start = self.blob[offsets[0] : offsets[-1]].tobytes(), 0
            while (position := blob.find(path, start)) >= 0:
                image = int(np.searchsorted(offsets, offsets[0] + position))
                # The bytes may also match inside of a longer path, or across two
                if image < len(offsets) - 1 and offsets[image] == offsets[0] + position and self[first + image] == path:
                    return first + image
                start = position + 1
        return None
