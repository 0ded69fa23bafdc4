"""Index of a data set: paths and classes of its images, listed and sampled without opening an image file."""

import difflib
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.decode import EXTENSIONS
from pipeline.data.file_tree import open_tree
from pipeline.data.image_paths import ImagePaths
from pipeline.errors import UsageError

log = logging.getLogger(__name__)

IMAGE_EXTENSIONS = frozenset(os.fsencode(extension) for extension in EXTENSIONS)
_OTHER_KINDS = (
    b".heic .heif .avif .jxl .jxr .jp2 .j2k .svg .psd .ico .icns .tga .dds .exr .hdr .dcm .mpo .dib .pcx .xpm .eps "
    b".nef .cr2 .cr3 .arw .dng .raf .orf .rw2"
)
NOT_READ = frozenset(_OTHER_KINDS.split()) - IMAGE_EXTENSIONS
"""Extensions of image files that are not read; such files are counted and left out."""
LISTING_THREADS = 8
"""Class folders listed in parallel: over a network, or on a cold disk, listing waits for latency."""


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of a data set, in order.

    Attributes:
        paths: Relative to the root, raw bytes, separated by ``/``.
        folder: Number of each image's class folder, -1 without labels, int32 (n,).
        folders: Names of all class folders, sorted; also of empty ones, since their number is the number of classes.
        label: Class number of each image, int32 (n,), where the data set has numbers; None where folders name classes.
        archive: Number of the archive that each image is in, non-decreasing, int32 (n,); None without archives.
    """

    paths: ImagePaths
    folder: np.ndarray
    folders: list[str]
    label: np.ndarray | None = None
    archive: np.ndarray | None = None

    def take(self, numbers: np.ndarray) -> "ImageIndex":
        """Selects images by number; keeps all class folders, so that class numbers stay the same."""
        label, archive = (None if one is None else one[numbers] for one in (self.label, self.archive))
        return ImageIndex(self.paths.take(numbers), self.folder[numbers], self.folders, label, archive)


def index_folder(root: str | Path, labels: bool = True) -> ImageIndex:
    """Lists the images below a folder, in the order of (class folder, path within it), compared as bytes.

    Files with the extension of an image format are listed, in any case, at any depth; none is opened. Links are
    followed, except to an ancestor. Hidden files and folders, whose names begin with a dot, are left out.

    Args:
        root: With labels a folder of class folders, else any folder.
        labels: True if the folders directly below ``root`` are classes.

    Raises:
        UsageError: A folder cannot be listed, or there is no image, or no class folder.
    """
    tree, left_out = open_tree(str(root), IMAGE_EXTENSIONS | NOT_READ), Counter[bytes]()
    folders, files = tree.list_top()
    images = readable(files, left_out)
    if not labels:
        paths = ImagePaths.from_bytes(sorted(images + readable(tree.list_below(folders), left_out)))
        index = ImageIndex(paths, np.full(len(paths), -1, np.int32), [])
    elif folders:
        if images:
            log.warning("%d images directly in %r are in no class folder: left out", len(images), str(root))
        with ThreadPoolExecutor(LISTING_THREADS) as pool:
            listings = pool.map(lambda name: tree.list_below([name]), sorted(folders))
            parts = [ImagePaths.from_bytes(sorted(readable(listing, left_out))) for listing in listings]
        names, classes = _merge_unicode_forms([os.fsdecode(folder) for folder in sorted(folders)])
        index = ImageIndex(ImagePaths.join(parts), np.repeat(classes, [len(part) for part in parts]), names)
    else:
        advice = "use data.labels=false, or give the folder above" if images else "the folder is empty"
        raise UsageError(f"data.root={str(root)!r} has no class folders: {advice}")
    log_left_out(left_out, str(root))
    if not len(index.paths):
        known = " ".join(sorted(EXTENSIONS))
        raise UsageError(f"data.root={str(root)!r}: no images below it (known extensions: {known})")
    return index


def readable(files: Sequence[bytes], left_out: Counter[bytes]) -> list[bytes]:
    """The files that are not left out for their extension; the others are counted by it."""
    chosen = []
    for name in files:
        extension = name[name.rfind(b".") :].lower()
        if extension in NOT_READ:
            left_out[extension] += 1
        else:
            chosen.append(name)
    return chosen


def log_left_out(left_out: Counter[bytes], root: str) -> None:
    """Warns of image files that are left out for their extension, in one line."""
    if left_out:
        kinds = ", ".join(f"{number} {extension.decode()}" for extension, number in left_out.most_common())
        log.warning(
            "%d image files below %r are of kinds that are not read: left out (%s)", left_out.total(), root, kinds
        )


def _merge_unicode_forms(folders: list[str]) -> tuple[list[str], np.ndarray]:
    """Names of the class folders without further Unicode forms of one name, and the number of each folder's, int32."""
    numbers: dict[str, int] = {}
    names, classes = list[str](), list[int]()
    for folder in folders:
        number = numbers.setdefault(unicodedata.normalize("NFC", folder), len(names))
        classes.append(number)
        if number == len(names):
            names.append(folder)
    return names, np.array(classes, np.int32)


def sample(
    index: ImageIndex,
    *,
    limit: int | None = None,
    per_class: int | None = None,
    classes: Sequence[str] | None = None,
) -> ImageIndex:
    """Samples an index, deterministically; keeps all class folders, so that class numbers stay the same.

    Args:
        index: All images.
        limit: Maximum number of images, evenly spaced among those that the other two leave.
        per_class: Maximum number of images of each class folder, the first ones.
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
        order = chosen[np.argsort(index.folder[chosen], kind="stable")]  # a list may have its classes in any order
        sorted_folders = index.folder[order]
        rank = np.arange(len(order)) - np.searchsorted(sorted_folders, sorted_folders)  # of each image in its class
        chosen = np.sort(order[rank < per_class])
    if limit is not None and limit < len(chosen):
        chosen = chosen[np.arange(limit) * len(chosen) // limit]
    if not len(chosen):
        raise UsageError(f"data.classes={list(classes or [])}: no images in these folders")
    return index.take(chosen)


def _folder_number(folders: list[str], name: str) -> int:
    forms = [unicodedata.normalize("NFC", folder) for folder in folders]
    if (form := unicodedata.normalize("NFC", name)) in forms:
        return forms.index(form)
    near = difflib.get_close_matches(name, folders)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the first is {folders[0]!r}"
    raise UsageError(f"data.classes: no class folder {name!r} among {len(folders)}; {advice}")
