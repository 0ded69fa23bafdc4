"""The images of a manifest as they lie in its file: of a billion, a worker reads the few pages that it needs."""

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
    """Paths that are read from the disk where they are touched; a page is held against its digest the first time.

    Attributes:
        label: Class of each image, int32 (n,); in the digests too.
        digests: Sha256 of each page, uint8 (pages, 32); None if the file was checked as a whole.
        file: What messages call it.
    """

    label: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    digests: np.ndarray | None = None
    file: str = ""

    @cached_property
    def _checked(self) -> set[int]:
        return set()

    def check(self, first: int, end: int) -> None:
        """Holds the pages of some images against their digests.

        Raises:
            StoreError: One is damaged, or names files outside the root.
        """
        for page in range(first // PAGE, -(-end // PAGE)):
            if page not in self._checked:
                self._check_page(page)
                self._checked.add(page)

    def _check_page(self, page: int) -> None:
        if self.digests is not None and page_digest(self, self.label, page) != self.digests[page].tobytes():
            raise StoreError(f"{self.file} is damaged: the sha256 of images {page * PAGE} and on is another")
        offsets, spans, _ = _columns(self, self.label, page)
        end = len(self.blob) if page * PAGE + len(offsets) - 1 == len(self) else offsets[-1]
        if (page == 0 and offsets[0] != 0) or offsets[-1] != end or np.any(np.diff(offsets) < 1):
            raise StoreError(f"{self.file} is damaged: its paths do not follow one another")
        blob = self.blob[offsets[0] : offsets[-1]]
        starts = offsets[:-1] - offsets[0]
        if np.any(blob[starts] == ord("/")) or _goes_up(blob, starts):
            raise StoreError(f"{self.file} is damaged: it names images outside of their root")
        if spans is not None and np.any(spans < 0):
            raise StoreError(f"{self.file} is damaged: it names bytes before the first of an archive")


def digests(paths: ImagePaths, label: np.ndarray) -> np.ndarray:
    """Sha256 of each page, uint8 (pages, 32)."""
    found = b"".join(page_digest(paths, label, page) for page in range(-(-len(paths) // PAGE)))
    return np.frombuffer(found, np.uint8).reshape(-1, _DIGEST_BYTES)


def page_digest(paths: ImagePaths, label: np.ndarray, page: int) -> bytes:
    """Sha256 of the paths, spans and labels of a page's images."""
    digest = hashlib.sha256()
    offsets, spans, labels = _columns(paths, label, page)
    blob = paths.blob[max(0, offsets[0]) : max(0, offsets[-1])]
    for column in (blob, offsets, labels, *([] if spans is None else [spans])):
        digest.update(np.ascontiguousarray(column).data)
    return digest.digest()


def _columns(paths: ImagePaths, label: np.ndarray, page: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    first, end = page * PAGE, (page + 1) * PAGE
    return paths.offsets[first : end + 1], None if paths.spans is None else paths.spans[first:end], label[first:end]


def _goes_up(blob: np.ndarray, starts: np.ndarray) -> bool:
    """Whether one of the paths has ``..`` for a folder."""
    if b".." not in (whole := blob.tobytes()):
        return False
    return any(b".." in path.split(b"/") for path in _cut(whole, starts))


def _cut(blob: bytes, starts: np.ndarray) -> Iterator[bytes]:
    for start, end in zip(starts, [*starts[1:], len(blob)], strict=True):
        yield blob[start:end]
