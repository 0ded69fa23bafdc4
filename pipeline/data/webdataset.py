"""Index of WebDataset tar archives: byte ranges of the images in them, without unpacking.

Python's own `tarfile` reads the headers once; then an image is one read at its offset, by any worker, in any order.
The library webdataset reads archives sequentially and assigns them to workers of its own, with no random access.
"""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from pipeline.data.file_tree import open_tree
from pipeline.data.image_index import IMAGE_EXTENSIONS, LISTING_THREADS, ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled_index
from pipeline.errors import UsageError
from pipeline.system.remote import open_file

_TAR_BLOCK = 512  # bytes
_MAX_LABEL_BYTES = 1 << 20

Members = tuple[ImagePaths, list[bytes]]


def index_archives(root: str, labels: bool = True) -> ImageIndex:
    """Lists the images in all ``.tar`` files below a folder, in the order of (archive, offset).

    The members of one sample share their name up to the first dot, as WebDataset defines: ``0001.jpg`` is the image,
    ``0001.cls`` its label, or ``0001.json`` an object with a ``label``: class numbers, or names where not all are
    numbers.

    Args:
        root: The folder, or its address.
        labels: True to read labels; each image must then have one.

    Raises:
        UsageError: There is no archive or no image, or an archive is damaged or compressed, or a label is missing.
    """
    tree = open_tree(root, {b".tar"})
    folders, top_archives = tree.list_top()
    archives = sorted([*top_archives, *tree.list_below(folders)])
    if not archives:
        raise UsageError(
            f"data.root={root!r}: no .tar below it (compressed ones must be unpacked: images are read in place)"
        )
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        members = [*pool.map(lambda archive: _index_archive(root, archive, labels), archives)]
    paths = ImagePaths.join([part for part, _ in members])
    if not len(paths):
        raise UsageError(f"data.root={root!r}: no images in its {len(archives)} archives")
    number = np.repeat(np.arange(len(members), dtype=np.int32), [len(part) for part, _ in members])
    if not labels:
        return unlabelled_index(paths, number)
    encoder = LabelEncoder()
    codes = encoder.encode(label for _, archive_labels in members for label in archive_labels)
    return encoder.index(paths, codes, number)


def _index_archive(root: str, archive: bytes, labels: bool) -> Members:
    """Paths with byte ranges, and labels, of an archive's images."""
    name = archive.decode(errors="surrogateescape")
    try:
        with (
            open_file(f"{root}/{name}") as file,
            tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as opened,
        ):
            images, sample_labels = _read_headers(opened, name, labels)
            file.seek(opened.offset)
            if file.read(_TAR_BLOCK).strip(b"\0"):  # tarfile takes a damaged header for the end of the archive
                raise tarfile.ReadError(f"no header at byte {opened.offset}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"data.root: the archive {name!r} cannot be read: {error}") from error
    spans = np.array([(member.offset_data, member.size) for member in images], np.int64).reshape(-1, 2)
    paths = ImagePaths.from_bytes((archive + b"/" + _encoded(member.name) for member in images), spans)
    return paths, [_label(sample_labels, member, name) for member in images] if labels else []


def _read_headers(opened: tarfile.TarFile, name: str, labels: bool) -> tuple[list[tarfile.TarInfo], dict[str, bytes]]:
    """The image members of an archive, in order, and the label of each sample by its key."""
    images, sample_labels = [], {}
    while (member := opened.next()) is not None:
        opened.members.clear()  # type: ignore[attr-defined] # tarfile would keep all headers in memory
        path = PurePosixPath(member.name)
        if not member.isreg() or path.name.startswith("."):
            continue
        if path.suffix.lower().encode(errors="surrogateescape") in IMAGE_EXTENSIONS:
            if ".." in path.parts:
                raise UsageError(f"data.root: the archive {name!r} has a member that leads out of it: {member.name!r}")
            images.append(member)
        elif labels and path.suffix in (".cls", ".json"):
            content = opened.extractfile(member)
            assert content is not None  # it is a regular file
            label = _read_label(content, path.suffix, f"{name}/{member.name}")
            sample_labels.update({} if label is None else {_sample_key(member): label})
    return images, sample_labels


def _read_label(content: "BinaryIO | Any", suffix: str, name: str) -> bytes | None:
    """The label in a ``.cls`` or ``.json`` member; None in JSON without a ``label``."""
    text: bytes = content.read(_MAX_LABEL_BYTES)
    if suffix == ".cls":
        return text.strip()
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise UsageError(f"data.root: {name} is not JSON: {error}") from error
    label = fields.get("label") if isinstance(fields, dict) else None
    return None if label is None else str(label).encode()


def _label(sample_labels: dict[str, bytes], image: tarfile.TarInfo, archive: str) -> bytes:
    label = sample_labels.get(_sample_key(image))
    if not label:
        raise UsageError(
            f"data.root: {archive}/{image.name} has no label: neither a .cls nor a .json with one beside it; "
            "data.labels=false takes images without"
        )
    return label


def _sample_key(member: tarfile.TarInfo) -> str:
    """The key that the members of one sample share: folders, and the name up to its first dot."""
    folder, _, name = member.name.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _encoded(name: str) -> bytes:
    return name.removeprefix("./").encode(errors="surrogateescape")
