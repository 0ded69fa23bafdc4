"""Thirty kinds of files that bear an image's name and hold none, each with words of the reason that is expected."""

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

Make = Callable[[Path], None]


def _content(data: bytes) -> Make:
    return lambda path: path.write_bytes(data) and None


def _saved(kind: str, **options: object) -> bytes:
    stream = BytesIO()
    values = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def _cut(kind: str) -> Make:
    data = _saved(kind)
    return _content(data[: len(data) // 2])


def _png(width: int, height: int, *, data: bytes = b"", depth: int = 8) -> bytes:
    """A PNG that claims a size, whatever its data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _flipped(kind: str, place: float) -> Make:
    data = bytearray(_saved(kind))
    data[int(len(data) * place) : int(len(data) * place) + 40] = bytes(40)
    return _content(bytes(data))


def _deep(value: float) -> Make:
    return lambda path: Image.fromarray(np.full((8, 8), value, np.float32)).save(path, "TIFF")


LONG = b"l" * 251 + b".jpg"
NO_IMAGE = "no image of a known format"
KINDS: dict[bytes, tuple[Make, str]] = {
    b"empty.jpg": (_content(b""), "the file is empty"),
    b"text.jpg": (_content(b"a letter to a friend"), NO_IMAGE),
    b"page.png": (_content(b"<!doctype html><title>404</title>"), NO_IMAGE),
    b"archive.jpg": (_content(b"PK\x03\x04" + bytes(60)), NO_IMAGE),
    b"postscript.jpg": (_content(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), NO_IMAGE),
    b"zeros.jpg": (_content(bytes(5000)), NO_IMAGE),
    b"one-byte.jpg": (_content(b"\xff"), NO_IMAGE),
    b"header-alone.png": (_content(b"\x89PNG\r\n\x1a\n"), NO_IMAGE),
    b"cut.jpg": (_cut("JPEG"), "cannot be decoded"),
    b"cut.png": (_cut("PNG"), "cannot be decoded"),
    b"cut.gif": (_cut("GIF"), "cannot be decoded"),
    b"cut.webp": (_cut("WEBP"), "cannot be decoded"),
    b"cut.bmp": (_cut("BMP"), "cannot be decoded"),
    b"cut.tif": (_cut("TIFF"), "cannot be decoded"),
    b"cut.jp2": (_cut("JPEG2000"), "cannot be decoded"),
    b"damaged.png": (_flipped("PNG", 0.5), "cannot be decoded"),
    b"bomb.png": (_content(_png(60000, 60000)), "exceeds limit"),
    b"strip.png": (lambda path: Image.new("L", (300_000, 1)).save(path), "too narrow to resize"),
    b"hollow.png": (_content(_png(64, 64)), "cannot be decoded"),
    b"no-width.png": (_content(_png(0, 64)), ""),
    b"negative.tif": (_deep(-1), "grey values from"),
    b"undefined.tif": (_deep(float("nan")), "grey values from"),
    b"dangling.jpg": (lambda path: path.symlink_to("nowhere.jpg"), "No such file"),
    b"loop.jpg": (lambda path: path.symlink_to(path.name), "symbolic links"),
    b"of-itself.jpg": (lambda path: path.symlink_to(path / "inside.jpg"), ""),
    b"pipe.jpg": (lambda path: os.mkfifo(path), "not a regular file"),
    b"device.jpg": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    b"<script>alert(1)<.jpg": (_content(b"<script>alert(1)</script>"), NO_IMAGE),
    b"a b\nc\xff\xfe.jpg": (_content(b"odd name"), NO_IMAGE),
    LONG: (_content(b"long name"), NO_IMAGE),
}


def write_unreadable_images(folder: Path) -> None:
    """Writes every kind into a folder."""
    for name, (make, _) in KINDS.items():
        make(folder / os.fsdecode(name))


def odd_but_good(folder: Path, photograph: Image.Image) -> int:
    """Writes images that look like trouble and are none; how many."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph.save(folder / "exif-broken.jpg", exif=b"Exif\x00\x00garbage")
    photograph.save(folder / "exif-turned.jpg", exif=exif)
    photograph.convert("CMYK").save(folder / "cmyk.jpg")
    photograph.quantize(16).save(folder / "palette-transparent.png", transparency=3)
    photograph.convert("L").point(lambda value: value).save(folder / "grey.png")
    Image.fromarray(np.asarray(photograph.convert("L")).astype(np.uint16) * 256).save(folder / "sixteen-bit.png")
    photograph.save(folder / "animated.gif", save_all=True, append_images=[photograph.rotate(90)])
    photograph.resize((1, 1)).save(folder / "1x1.png")
    photograph.resize((30000, 10)).save(folder / "30000x10.png")
    photograph.save(folder / "named-otherwise.png", "JPEG")
    photograph.save(folder / os.fsdecode(b"\xe4 \n\xff.jpg"))
    (folder / "folder.jpg").mkdir()
    photograph.save(folder / "folder.jpg" / "inside.png")
    return len([path for path in folder.rglob("*") if path.is_file()])
