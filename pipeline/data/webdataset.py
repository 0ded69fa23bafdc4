"""Index of WebDataset tar archives: byte ranges of the images in them, without unpacking.

Python's own `tarfile` reads the headers once; then an image is one read at its offset, by any worker, in any order.
The library webdataset reads archives sequentially and assigns them to workers of its own, with no random access.
"""

import json
import logging
import posixpath
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from pipeline.data.file_tree import open_tree
from pipeline.data.image_index import IMAGE_EXTENSIONS, LISTING_THREADS, NOT_READ, ImageIndex, log_left_out
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled_index
from pipeline.data.samples import Member, Samples
from pipeline.errors import UsageError
from pipeline.system.remote import open_file

log = logging.getLogger(__name__)

_TAR_BLOCK = 512  # bytes
_MAX_LABEL_BYTES = 1 << 20
_END_BYTES = 1 << 20
"""Read at a time after the last member; an archive usually ends with 10 KB of zeros at most."""

Members = tuple[ImagePaths, list[bytes], int, Counter[bytes]]
Span = tuple[int, int]
"""Offset and length in bytes."""


def index_archives(root: str, labels: bool = True) -> ImageIndex:
    """Lists the images in all ``.tar`` files below a folder, in the order of (archive, offset).

    The members of one sample share their name up to the first dot, as WebDataset defines: ``0001.jpg`` is the image,
    ``0001.cls`` its label, or ``0001.json`` an object with a ``label``: class numbers, or names where not all are
    numbers. See :mod:`pipeline.data.samples`. Links to a file of the archive are read as that file.

    Args:
        root: The folder, or its address.
        labels: True to read labels; each image must then have one.

    Raises:
        UsageError: There is no archive or no image, or an archive is damaged or compressed, or a label is missing, or
            members compete for one place in a sample.
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
    log_left_out(sum((not_read for *_, not_read in members), Counter()), root)
    paths = ImagePaths.join([part for part, *_ in members])
    if not len(paths):
        raise UsageError(f"data.root={root!r}: no images in its {len(archives)} archives")
    if left_out := sum(images for _, _, images, _ in members):
        log.info("%d images named beside that of their sample (such as a.seg.png beside a.jpg) are left out", left_out)
    number = np.repeat(np.arange(len(members), dtype=np.int32), [len(part) for part, *_ in members])
    if not labels:
        return unlabelled_index(paths, number)
    encoder = LabelEncoder()
    codes = encoder.encode(label for _, archive_labels, *_ in members for label in archive_labels)
    return encoder.index(paths, codes, number)


def _index_archive(root: str, archive: bytes, labels: bool) -> Members:
    """Paths with byte ranges, and labels, of an archive's images, and the images that are left out."""
    name = archive.decode(errors="surrogateescape")
    try:
        with (
            open_file(f"{root}/{name}") as file,
            tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as opened,
        ):
            samples = _read_headers(opened, file, name, labels)
            _check_end(file, opened.offset)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"data.root: the archive {name!r} cannot be read: {error}") from error
    images, left_out = samples.images()
    spans = np.array([(member.offset, member.size) for member in images], np.int64).reshape(-1, 2)
    paths = ImagePaths.from_bytes((archive + b"/" + _encoded(member.name) for member in images), spans)
    return paths, [samples.label(member) for member in images] if labels else [], left_out, samples.not_read


def _read_headers(opened: tarfile.TarFile, file: BinaryIO, archive: str, labels: bool) -> Samples:
    """The samples of an archive."""
    samples, contents, links_ahead = Samples(archive), dict[str, Span](), list[tarfile.TarInfo]()
    while (header := opened.next()) is not None:
        opened.members.clear()  # type: ignore[attr-defined] # tarfile would keep all headers in memory
        if header.isreg():
            contents[_inside(header.name)] = (header.offset_data, header.size)
        elif header.issym() and _target(header) not in contents:
            links_ahead.append(header)
            continue
        _add_member(samples, header, contents, file if labels else None)
    for header in links_ahead:
        _add_member(samples, header, contents, file if labels else None)
    return samples


def _add_member(
    samples: Samples, header: tarfile.TarInfo, contents: dict[str, Span], labels_from: BinaryIO | None
) -> None:
    """Adds a member to its sample, unless it is neither an image nor a label, or hidden.

    Args:
        samples: Of the archive.
        header: Of the member.
        contents: Byte range of each file that the archive has up to here, by name: of the targets of links.
        labels_from: The archive; None reads no labels.
    """
    name = _inside(header.name)
    path = PurePosixPath(name)
    if not (header.isreg() or header.islnk() or header.issym()) or path.name.startswith("."):
        return
    member = Member(name, header.offset, header.offset_data, header.size)
    extension = member.extension.encode(errors="surrogateescape")
    is_image = extension in IMAGE_EXTENSIONS
    if extension in NOT_READ:
        samples.not_read[extension] += 1
    if not is_image and (labels_from is None or member.extension not in (".cls", ".json")):
        return
    if is_image and ".." in path.parts:
        raise UsageError(f"data.root: the archive {samples.archive!r} has a member that leads out of it: {name!r}")
    if header.issparse():
        raise UsageError(f"data.root: the archive {samples.archive!r}: {name!r} is stored sparse: pack it without -S")
    if not header.isreg():
        if (target := _target(header)) not in contents:
            raise UsageError(
                f"data.root: the archive {samples.archive!r}: {name!r} is a link to {header.linkname!r}, which is no "
                "file of the archive before it; pack the files themselves (tar --dereference --hard-dereference)"
            )
        member = replace(member, offset=contents[target][0], size=contents[target][1])
        contents[name] = contents[target]
    if is_image:
        samples.add_image(member)
    else:
        assert labels_from is not None  # else returned above
        labels_from.seek(member.offset)
        text = labels_from.read(min(member.size, _MAX_LABEL_BYTES))
        samples.add_label(member, _parse_label(text, member.extension, f"{samples.archive}/{name}"))


def _target(link: tarfile.TarInfo) -> str:
    """Name of the member that a link leads to: a symbolic link is relative to its folder."""
    folder = posixpath.dirname(_inside(link.name)) if link.issym() else ""
    return posixpath.normpath(posixpath.join(folder, link.linkname))


def _check_end(file: BinaryIO, end: int) -> None:
    """Raises ReadError unless an archive has only zeros from its last member on."""
    file.seek(end)
    if file.read(_TAR_BLOCK).strip(b"\0"):  # tarfile takes a damaged header for the end of the archive
        raise tarfile.ReadError(f"no header at byte {end}")
    while rest := file.read(_END_BYTES):
        if rest.strip(b"\0"):
            raise tarfile.ReadError(
                f"more follows its end at byte {end}, as in concatenated archives, whose later members tar does not "
                "list either; keep them apart, or join them by tar --concatenate"
            )


def _parse_label(text: bytes, extension: str, name: str) -> bytes:
    """The label in a ``.cls`` or ``.json`` member; empty in JSON without a ``label``."""
    if extension == ".cls":
        return text.strip()
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise UsageError(f"data.root: {name} is not JSON: {error}") from error
    label = fields.get("label") if isinstance(fields, dict) else None
    return b"" if label is None else str(label).strip().encode(errors="replace")


def _inside(name: str) -> str:
    return name.removeprefix("./")


def _encoded(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
