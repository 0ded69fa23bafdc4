"""Images whose classes are said in words beside them, not by their folders."""

from collections.abc import Iterable

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths


class LabelEncoder:
    """Numbers the different words of many labels, as they come."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def numbers(self, words: Iterable[bytes]) -> np.ndarray:
        """Number of each word, int32 (n,)."""
        return np.fromiter((self._numbers.setdefault(word, len(self._numbers)) for word in words), np.int32)

    def index(self, paths: ImagePaths, numbers: np.ndarray, archive: np.ndarray | None = None) -> ImageIndex:
        """The index of images with these labels: class numbers if all words are, else names as of class folders."""
        words = sorted(self._numbers)
        place = np.empty(len(words), np.int32)
        place[[self._numbers[word] for word in words]] = np.arange(len(words), dtype=np.int32)
        folder = place[numbers]
        folders = [word.decode(errors="surrogateescape") for word in words]
        classes = [int(word) for word in words] if all(word.isdigit() and len(word) < 10 for word in words) else None
        label = None if classes is None else np.array(classes, np.int32)[folder]
        return ImageIndex(paths, folder, folders, label, archive)


def unlabelled(paths: ImagePaths, archive: np.ndarray | None = None) -> ImageIndex:
    """The index of images of which no class is known."""
    return ImageIndex(paths, np.full(len(paths), -1, np.int32), [], None, archive)
