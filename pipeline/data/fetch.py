"""Image location -> decoded image: from a local file, a byte range of an archive, or an object store."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH110, PTH118

import os
import unicodedata

from PIL import Image

from pipeline.data.decode import UnreadableImage, decode_image, read_image
from pipeline.data.image_paths import ImageLocation
from pipeline.system.remote import file_system, is_remote

ARCHIVES = (b".tar", b".arrow")


def fetch_image(root: bytes, location: ImageLocation) -> Image.Image:
    """Reads and decodes an image to 8-bit RGB.

    Args:
        root: The folder that the path is relative to, or its address.
        location: Path and, within an archive, byte range of the image.

    Raises:
        UnreadableImage: The image is missing, empty, of no known format, damaged, or larger than Pillow allows.
    """
    path = root.rstrip(b"/") + b"/" + location.path if is_remote(root) else os.path.join(root, location.path)
    if location.span is None:
        return decode_image(_read_object(path, None)) if is_remote(root) else _read_file(root, location.path)
    archive = path[: _archive_length(path, len(root))]
    content = _read_object(archive, location.span) if is_remote(root) else _read_range(archive, location.span)
    if len(content) < location.span[1]:
        raise UnreadableImage("the archive ends within it")
    return decode_image(content)


def _read_file(root: bytes, path: bytes) -> Image.Image:
    """Reads a local image; a name that no file has is tried in the other Unicode forms (a list written on a Mac)."""
    try:
        return read_image(os.path.join(root, path))
    except UnreadableImage as error:
        if path.isascii() or not isinstance(error.__cause__, FileNotFoundError):
            raise
        forms = (os.fsencode(unicodedata.normalize(form, os.fsdecode(path))) for form in ("NFC", "NFD"))
        for form in forms:
            if os.path.exists(os.path.join(root, form)):
                return read_image(os.path.join(root, form))
        raise


def _archive_length(path: bytes, start: int) -> int:
    """Length of the archive's own path, of a path that leads into it; the first archive from ``start`` on counts."""
    ends = ((path.find(extension + b"/", start), len(extension)) for extension in ARCHIVES)
    return min(position + length for position, length in ends if position >= 0)


def _read_range(path: bytes, span: tuple[int, int]) -> bytes:
    start, length = span
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            # The length comes from the archive's headers: a damaged one must not allocate more than the file has
            return os.pread(file, min(length, os.fstat(file).st_size), start)
        finally:
            os.close(file)
    except OSError as error:
        raise UnreadableImage(error.strerror or str(error)) from error


def _read_object(address: bytes, span: tuple[int, int] | None) -> bytes:
    """Reads an object, or a byte range of it.

    A missing or forbidden object is a failure of its image. Other errors, such as a store that does not answer, end the
    run: they are no fault of the image.
    """
    system, path = file_system(os.fsdecode(address))
    start, end = (None, None) if span is None else (span[0], sum(span))
    try:
        content: bytes = system.cat_file(path, start=start, end=end)
    except (FileNotFoundError, PermissionError) as error:
        raise UnreadableImage(error.strerror or str(error)) from error
    return content
