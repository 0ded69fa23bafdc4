"""A folder of WebDataset tar files -> where each image's bytes are in them, without unpacking one.

Python's own `tarfile` reads the headers once; then an image is one read at its offset, by any worker, in any order.
The library webdataset reads archives from end to end and deals them to workers of its own, with no random access.
"""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from pipeline.data.file_tree import tree
from pipeline.data.image_index import IMAGE_EXTENSIONS, LISTING_THREADS, ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled
from pipeline.errors import UsageError
from pipeline.system.remote import open_file

_BLOCK = 512
_LARGEST_TEXT = 1 << 20

Members = tuple[ImagePaths, list[bytes]]


def index_archives(root: str, labels: bool = True) -> ImageIndex:
    """Lists the images in all ``.tar`` files below a folder, in the order of (archive, place in it).

    The members of an image share their name up to the first dot, as WebDataset has it: ``0001.jpg`` is the image,
    ``0001.cls`` its label, or ``0001.json`` an object with a ``label``: class numbers, or names where not all are
    numbers.

    Args:
        root: The folder, or its address.
        labels: Whether each image must have one.

    Raises:
        UsageError: There is no archive or no image, or an archive is damaged or compressed, or a label is missing.
    """
    listed = tree(root, {b".tar"})
    folders, here = listed.top()
    archives = sorted([*here, *listed.below(folders)])
    if not archives:
        raise UsageError(
            f"data.root={root!r}: no .tar below it (compressed ones must be unpacked: images are read in place)"
        )
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        members = [*pool.map(lambda archive: _members(root, archive, labels), archives)]
    paths = ImagePaths.join([part for part, _ in members])
    if not len(paths):
        raise UsageError(f"data.root={root!r}: no images in its {len(archives)} archives")
    number = np.repeat(np.arange(len(members), dtype=np.int32), [len(part) for part, _ in members])
    if not labels:
        return unlabelled(paths, number)
    words = LabelEncoder()
    return words.index(paths, words.numbers(word for _, found in members for word in found), number)


def _members(root: str, archive: bytes, labels: bool) -> Members:
    """The images of an archive, and their labels."""
    name = archive.decode(errors="surrogateescape")
    try:
        with (
            open_file(f"{root}/{name}") as file,
            tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as opened,
        ):
            images, words = _read(opened, name, labels)
            file.seek(opened.offset)
            if file.read(_BLOCK).strip(b"\0"):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError(f"no header at byte {opened.offset}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"data.root: the archive {name!r} cannot be read: {error}") from error
    spans = np.array([(member.offset_data, member.size) for member in images], np.int64).reshape(-1, 2)
    paths = ImagePaths.from_bytes((archive + b"/" + _encoded(member.name) for member in images), spans)
    return paths, [_label(words, member, name) for member in images] if labels else []


def _read(opened: tarfile.TarFile, name: str, labels: bool) -> tuple[list[tarfile.TarInfo], dict[str, bytes]]:
    """The images of an archive in their order, and each sample's label."""
    images, words = [], {}
    while (member := opened.next()) is not None:
        opened.members.clear()  # type: ignore[attr-defined] # it would keep them all
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
            word = _word(content, path.suffix, f"{name}/{member.name}")
            words.update({} if word is None else {_sample(member): word})
    return images, words


def _word(content: "BinaryIO | Any", suffix: str, name: str) -> bytes | None:
    """The label in a member; None in JSON that has none."""
    text: bytes = content.read(_LARGEST_TEXT)
    if suffix == ".cls":
        return text.strip()
    try:
        described = json.loads(text)
    except ValueError as error:
        raise UsageError(f"data.root: {name} is not JSON: {error}") from error
    label = described.get("label") if isinstance(described, dict) else None
    return None if label is None else str(label).encode()


def _label(words: dict[str, bytes], image: tarfile.TarInfo, archive: str) -> bytes:
    word = words.get(_sample(image))
    if not word:
        raise UsageError(
            f"data.root: {archive}/{image.name} has no label: neither a .cls nor a .json with one beside it; "
            "data.labels=false takes images without"
        )
    return word


def _sample(member: tarfile.TarInfo) -> str:
    """What the members of one image share: their name up to the first dot, after the folders."""
    folder, _, name = member.name.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _encoded(name: str) -> bytes:
    return name.removeprefix("./").encode(errors="surrogateescape")
