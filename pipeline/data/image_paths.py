"""Where the images of a data set lie: many paths in few arrays."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PAGE = 1 << 14
"""Images that are looked at together where all are searched."""


class ImageLocation(NamedTuple):
    """Where one image's bytes are.

    Attributes:
        path: Relative to the root, raw bytes; of a member of an archive ``shard.tar/member`` or ``file.arrow/000123``.
        span: First byte and length within the archive; None for a file of its own.
    """

    path: bytes
    span: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class ImagePaths:
    """Many paths in two arrays: half the memory of as many objects, and stored as they are.

    Attributes:
        blob: All bytes, one path after the other, uint8.
        offsets: Where each path starts in the blob and, last, its length, int64 (n + 1,).
        spans: First byte and length of each image within its archive, int64 (n, 2); None for files of their own.
    """

    blob: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray | None = None

    @classmethod
    def from_bytes(cls, paths: Iterable[bytes], spans: np.ndarray | None = None) -> "ImagePaths":
        listed = list(paths)
        lengths = np.fromiter(map(len, listed), np.int64, len(listed))
        return cls(np.frombuffer(b"".join(listed), np.uint8), np.concatenate([[0], np.cumsum(lengths)]), spans)

    @classmethod
    def join(cls, parts: Sequence["ImagePaths"]) -> "ImagePaths":
        """One after the other; all of them with spans, or none."""
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
        self.check(number, number + 1)
        return self.blob[self.offsets[number] : self.offsets[number + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def place(self, number: int) -> ImageLocation:
        """Where an image's bytes are."""
        span = None if self.spans is None else (int(self.spans[number, 0]), int(self.spans[number, 1]))
        return ImageLocation(self[number], span)

    def take(self, numbers: np.ndarray) -> "ImagePaths":
        spans = None if self.spans is None else self.spans[numbers]
        return ImagePaths.from_bytes((self[number] for number in numbers), spans)

    def check(self, first: int, end: int) -> None:
        """Asked before images ``first`` to ``end`` are looked at; those in memory are as they are."""

    def find(self, path: bytes) -> int | None:
        """Number of the image with this path; None if there is none."""
        for first in range(0, len(self) if path else 0, PAGE):
            offsets = self.offsets[first : first + PAGE + 1]
            self.check(first, first + len(offsets) - 1)
            blob, start = self.blob[offsets[0] : offsets[-1]].tobytes(), 0
            while (found := blob.find(path, start)) >= 0:
                image = int(np.searchsorted(offsets, offsets[0] + found))
                if image < len(offsets) - 1 and offsets[image] == offsets[0] + found and self[first + image] == path:
                    return first + image
                start = found + 1
        return None
