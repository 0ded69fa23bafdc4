"""Labels given as text beside the images, not by class folders -> an index."""

from collections.abc import Iterable

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths


class LabelEncoder:
    """Encodes label texts as numbers 0, 1, ..., in the order in which they are first met.

    A list of a billion lines is encoded block by block: memory holds one text for each distinct label.
    """

    def __init__(self) -> None:
        self._codes: dict[bytes, int] = {}

    def encode(self, labels: Iterable[bytes]) -> np.ndarray:
        """Code of each label, int32 (n,)."""
        return np.fromiter((self._codes.setdefault(label, len(self._codes)) for label in labels), np.int32)

    def index(self, paths: ImagePaths, codes: np.ndarray, archive: np.ndarray | None = None) -> ImageIndex:
        """Makes the index of images with these labels.

        The labels are class numbers if all of them are whole numbers; else they are names, which mean classes as those
        of class folders do.

        Args:
            paths: Of the images.
            codes: Of their labels, int32 (n,), by :meth:`encode`.
            archive: Number of the archive that each image is in, int32 (n,), or None.
        """
        labels = sorted(self._codes)
        rank = np.empty(len(labels), np.int32)  # code -> position among the sorted labels
        rank[[self._codes[label] for label in labels]] = np.arange(len(labels), dtype=np.int32)
        folder = rank[codes]
        names = [label.decode(errors="surrogateescape") for label in labels]
        # Up to nine digits, so that a number fits into int32
        numeric = all(label.isdigit() and len(label) < 10 for label in labels)
        classes = np.array([int(label) for label in labels], np.int32)[folder] if numeric else None
        return ImageIndex(paths, folder, names, classes, archive)


def unlabelled_index(paths: ImagePaths, archive: np.ndarray | None = None) -> ImageIndex:
    """Makes the index of images without labels."""
    return ImageIndex(paths, np.full(len(paths), -1, np.int32), [], None, archive)
