"""Labels given as text beside the images, not by class folders -> an index."""

import unicodedata
from collections.abc import Iterable

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths


class LabelEncoder:
    """Encodes label texts as numbers 0, 1, ..., in the order in which they are first met.

    Unicode forms (NFC, NFD) of one label are the same label. A list of a billion lines is encoded block by block:
    memory holds one text for each distinct label.
    """

    def __init__(self) -> None:
        self._codes: dict[bytes, int] = {}  # of each label as it is written
        self._forms: dict[str, int] = {}  # of each label in the form NFC

    def encode(self, labels: Iterable[bytes]) -> np.ndarray:
        """Code of each label, int32 (n,)."""
        return np.fromiter(map(self._code, labels), np.int32)

    def _code(self, label: bytes) -> int:
        code = self._codes.get(label)
        if code is None:
            form = unicodedata.normalize("NFC", label.decode(errors="surrogateescape"))
            code = self._codes[label] = self._forms.setdefault(form, len(self._forms))
        return code

    def index(self, paths: ImagePaths, codes: np.ndarray, archive: np.ndarray | None = None) -> ImageIndex:
        """Makes the index of images with these labels.

        The labels are class numbers if all of them are whole numbers; else they are names, which mean classes as those
        of class folders do.

        Args:
            paths: Of the images.
            codes: Of their labels, int32 (n,), by :meth:`encode`.
            archive: Number of the archive that each image is in, int32 (n,), or None.
        """
        written: dict[int, bytes] = {}  # the first of the sorted forms of each label
        for label in sorted(self._codes):
            written.setdefault(self._codes[label], label)
        labels = list(written.values())
        rank = np.empty(len(labels), np.int32)  # code -> position among the sorted labels
        rank[list(written)] = np.arange(len(labels), dtype=np.int32)
        folder = rank[codes]
        names = [label.decode(errors="surrogateescape") for label in labels]
        # Up to nine digits, so that a number fits into int32
        numeric = all(label.isdigit() and len(label) < 10 for label in labels)
        classes = np.array([int(label) for label in labels], np.int32)[folder] if numeric else None
        return ImageIndex(paths, folder, names, classes, archive)


def unlabelled_index(paths: ImagePaths, archive: np.ndarray | None = None) -> ImageIndex:
    """Makes the index of images without labels."""
    return ImageIndex(paths, np.full(len(paths), -1, np.int32), [], None, archive)
