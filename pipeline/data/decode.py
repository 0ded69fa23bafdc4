"""Decoding of an image file to 8-bit RGB; an unreadable one raises the reason."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH116, PTH123

import io
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

Image.init()
# Raster formats with a signature of their own. Not EPS, for which Pillow would start Ghostscript.
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "MPO", "QOI")
    if name in Image.OPEN
)
# Extensions of image files, lower case, with the dot.
EXTENSIONS = frozenset(extension for extension, name in Image.registered_extensions().items() if name in FORMATS)

# Errors of Pillow's decoders on damaged files, collected by fuzzing: bytes of all FORMATS flipped and cut.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class UnreadableImage(Exception):
    """A file that is no image, or is damaged; the message is the reason, without the path."""


def read_image(path: bytes | str | Path) -> Image.Image:
    """Decodes an image file to 8-bit RGB.

    Transparent pixels are composited on white; 16-bit values keep their high byte; an animation is its first frame.
    The EXIF orientation is not applied, as in the evaluation of ImageNet models.

    Raises:
        UnreadableImage: The file is missing, empty, no image, damaged, or larger than Pillow allows.
    """
    try:
        _check_file(path)
        with open(path, "rb") as file:
            return _decoded(file)
    except OSError as error:
        raise UnreadableImage(_reason(error)) from error


def decode_image(content: bytes) -> Image.Image:
    """Decodes the content of an image file, as :func:`read_image` does.

    Raises:
        UnreadableImage: The content is empty, no image, damaged, or larger than Pillow allows.
    """
    if not content:
        raise UnreadableImage("the file is empty")
    return _decoded(io.BytesIO(content))


def _decoded(file: BinaryIO) -> Image.Image:
    try:
        # Pillow warns of odd metadata and of large images, which for a million files is noise.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            return _to_rgb(image)
    except UnidentifiedImageError as error:
        file.seek(0)
        raise UnreadableImage(f"no image of a known format: it begins with {file.read(12)!r}") from error
    except DECODER_ERRORS as error:
        raise UnreadableImage(_reason(error)) from error


def _check_file(path: bytes | str | Path) -> None:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("the file is empty")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    return f"cannot be decoded: {error}" if str(error) else f"cannot be decoded ({type(error).__name__})"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(_to_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey values (H, W) of 16 or 32 bits or floating point -> uint8; of 16 bits the high byte, as Pillow in colour."""
    low, high = values.min(), values.max()
    if mode == "F" and low >= 0 and high <= 1:
        return np.round(values * 255).astype(np.uint8)
    if mode == "F" and low >= 0 and high <= 255:
        return np.round(values).astype(np.uint8)
    if mode != "F" and low >= 0 and high <= 65535:
        return (values.astype(np.uint16) >> 8).astype(np.uint8)
    expected = "[0, 1] or [0, 255]" if mode == "F" else "[0, 65535]"
    raise UnreadableImage(f"grey values from {low} to {high}, expected {expected}")
