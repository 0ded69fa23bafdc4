"""Where an image lies -> the image: a file here, a part of an archive, an object elsewhere."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH118

import os

from PIL import Image

from pipeline.data.decode import UnreadableImage, decode_image, read_image
from pipeline.data.image_paths import ImageLocation
from pipeline.system.remote import file_system, is_remote

ARCHIVES = (b".tar", b".arrow")


def fetch_image(root: bytes, place: ImageLocation) -> Image.Image:
    """Reads and decodes an image to 8-bit RGB.

    Args:
        root: The folder that the path is relative to, or its address.
        place: Where the image is.

    Raises:
        UnreadableImage: It is missing, empty, no image, damaged, or larger than Pillow allows.
    """
    path = root.rstrip(b"/") + b"/" + place.path if is_remote(root) else os.path.join(root, place.path)
    if place.span is None:
        return decode_image(_object(path, None)) if is_remote(root) else read_image(path)
    archive = path[: _end_of_archive(path, len(root))]
    content = _object(archive, place.span) if is_remote(root) else _part(archive, place.span)
    if len(content) < place.span[1]:
        raise UnreadableImage("the archive ends within it")
    return decode_image(content)


def _end_of_archive(path: bytes, start: int) -> int:
    """How long the name of the archive is that a path leads into."""
    places = ((path.find(ending + b"/", start), len(ending)) for ending in ARCHIVES)
    return min(place + length for place, length in places if place >= 0)


def _part(path: bytes, span: tuple[int, int]) -> bytes:
    start, length = span
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.pread(file, min(length, os.fstat(file).st_size), start)
        finally:
            os.close(file)
    except OSError as error:
        raise UnreadableImage(error.strerror or str(error)) from error


def _object(address: bytes, span: tuple[int, int] | None) -> bytes:
    """What is stored at an address. That nothing answers there is no fault of the image, and ends the run."""
    system, path = file_system(os.fsdecode(address))
    start, end = (None, None) if span is None else (span[0], sum(span))
    try:
        content: bytes = system.cat_file(path, start=start, end=end)
    except (FileNotFoundError, PermissionError) as error:
        raise UnreadableImage(error.strerror or str(error)) from error
    return content
