"""Lazy access to the images of a manifest: pages of its memory-mapped columns, each checked against its checksum once.

Of a manifest of a billion images a worker reads only the pages that its shards are in.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipeline.data.image_paths import PAGE, ImagePaths
from pipeline.errors import StoreError

_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class MappedPaths(ImagePaths):
    """Memory-mapped paths; a page of `PAGE` images is checked against its sha256 when it is first used.

    Attributes:
        label: Class of each image, int32 (n,); the checksums cover it too.
        digests: Sha256 of each page, uint8 (pages, 32); None if the checksum of the whole file was verified.
        file: Name of the file, for messages.
    """

    label: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    digests: np.ndarray | None = None
    file: str = ""

    @cached_property
    def _checked(self) -> set[int]:
        return set()

    def verify(self, first: int, end: int) -> None:
        """Check the pages of images ``first`` to ``end`` that were not checked before.

        Raises:
            StoreError: A page is damaged, or names files outside the root.
        """
        for page in range(first // PAGE, -(-end // PAGE)):
            if page not in self._checked:
                self._check_page(page)
                self._checked.add(page)

    def _check_page(self, page: int) -> None:
        if self.digests is not None and page_digest(self, self.label, page) != self.digests[page].tobytes():
            raise StoreError(f"{self.file} is damaged: images {page * PAGE} and on do not match their sha256")
        offsets, spans, _ = _columns(self, self.label, page)
        # A page's first and last offset are shared with its neighbours; the last page must end with the blob.
        end = len(self.blob) if page * PAGE + len(offsets) - 1 == len(self) else offsets[-1]
        if (page == 0 and offsets[0] != 0) or offsets[-1] != end or np.any(np.diff(offsets) < 1):
            raise StoreError(f"{self.file} is damaged: its paths overlap or are empty")
        blob = self.blob[offsets[0] : offsets[-1]]
        starts = offsets[:-1] - offsets[0]
        if np.any(blob[starts] == ord("/")) or _has_parent_folder(blob, starts):
            raise StoreError(f"{self.file} is damaged: it names images outside of their root")
        if spans is not None and np.any(spans < 0):
            raise StoreError(f"{self.file} is damaged: it names bytes before the first of an archive")


def page_digests(paths: ImagePaths, label: np.ndarray) -> np.ndarray:
    """Compute the sha256 of each page, uint8 (pages, 32)."""
    joined = b"".join(page_digest(paths, label, page) for page in range(-(-len(paths) // PAGE)))
    return np.frombuffer(joined, np.uint8).reshape(-1, _DIGEST_BYTES)


def page_digest(paths: ImagePaths, label: np.ndarray, page: int) -> bytes:
    """Compute the sha256 of the paths, spans and labels of a page's images."""
    digest = hashlib.sha256()
    offsets, spans, labels = _columns(paths, label, page)
    blob = paths.blob[max(0, offsets[0]) : max(0, offsets[-1])]  # a damaged offset may be negative
    for column in (blob, offsets, labels, *([] if spans is None else [spans])):
        digest.update(np.ascontiguousarray(column).data)
    return digest.digest()


def _columns(paths: ImagePaths, label: np.ndarray, page: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    first, end = page * PAGE, (page + 1) * PAGE
    return paths.offsets[first : end + 1], None if paths.spans is None else paths.spans[first:end], label[first:end]


def _has_parent_folder(blob: np.ndarray, starts: np.ndarray) -> bool:
    """Return whether one of the paths has ``..`` for a folder."""
    if b".." not in (data := blob.tobytes()):  # nearly always: one search in place of a split of each path
        return False
    return any(b".." in path.split(b"/") for path in _split(data, starts))


def _split(blob: bytes, starts: np.ndarray) -> Iterator[bytes]:
    for start, end in zip(starts, [*starts[1:], len(blob)], strict=True):
        yield blob[start:end]
