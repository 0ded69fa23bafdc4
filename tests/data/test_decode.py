import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.decode import EXTENSIONS, UnreadableImage, read_image

RED, HALF_BLACK, CLEAR = (200, 30, 40, 255), (0, 0, 0, 128), (9, 9, 9, 0)


def pixels(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.fixture
def cat(photographs: Path) -> Image.Image:
    return Image.open(photographs / "n02123159/chelsea.png").convert("RGB")


def test_rgb_is_kept(cat: Image.Image, tmp_path: Path) -> None:
    assert np.array_equal(pixels(saved(cat, tmp_path / "a.png")), np.asarray(cat))


@pytest.mark.parametrize("kind", [str, bytes, Path])
def test_any_kind_of_path(kind: type, photographs: Path) -> None:
    path = photographs / "n02123159/chelsea.png"
    assert read_image(os.fsencode(path) if kind is bytes else kind(path)).size == (451, 300)


def test_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[True, False], [False, True]]))
    assert image.mode == "1"
    assert pixels(saved(image, tmp_path / "a.png"))[..., 1].tolist() == [[255, 0], [0, 255]]


def test_grey(cat: Image.Image, tmp_path: Path) -> None:
    grey = cat.convert("L")
    assert np.array_equal(pixels(saved(grey, tmp_path / "a.png")), np.stack([np.asarray(grey)] * 3, -1))


def test_palette(cat: Image.Image, tmp_path: Path) -> None:
    palette = cat.quantize(64)
    assert np.array_equal(pixels(saved(palette, tmp_path / "a.png")), np.asarray(palette.convert("RGB")))


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([RED, HALF_BLACK, CLEAR])
    on_white = [[[200, 30, 40], [127, 127, 127], [255, 255, 255]]]
    assert pixels(saved(image, tmp_path / "a.png")).tolist() == on_white


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(80, 255), (80, 0)])
    assert pixels(saved(image, tmp_path / "a.png"))[..., 0].tolist() == [[80, 255]]


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 30, 40, 0, 0, 0])
    image.putdata([0, 1])
    transparent = saved(image, tmp_path / "a.png", transparency=1)
    assert pixels(transparent).tolist() == [[[200, 30, 40], [255, 255, 255]]]


def test_palette_with_an_alpha_for_each_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 30, 40, 0, 0, 0])
    image.putdata([0, 1])
    transparent = saved(image, tmp_path / "a.png", transparency=bytes([255, 128]))
    assert pixels(transparent).tolist() == [[[200, 30, 40], [127, 127, 127]]]


def test_grey_with_one_transparent_value(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[7, 80]], np.uint8))
    assert pixels(saved(image, tmp_path / "a.png", transparency=7))[..., 0].tolist() == [[255, 80]]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    colour = pixels(saved(image, tmp_path / "a.jpg"))[8, 8]
    assert np.abs(colour - np.array([0, 255, 255])).max() <= 2


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_keep_the_high_byte(name: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], np.uint16))
    assert pixels(saved(image, tmp_path / name))[0, :, 2].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 2.4, 255.0], [0, 2, 255])],
)
def test_floating_point_grey(values: list[float], expected: list[int], tmp_path: Path) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    assert pixels(saved(image, tmp_path / "a.tif"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(("value", "dtype"), [("nan", "f4"), (-1, "f4"), (300, "f4"), (70000, "i4"), (-1, "i4")])
def test_grey_values_of_unknown_range_are_refused(value: float | str, dtype: str, tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.full((2, 2), value, dtype)), tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match="grey values from"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_the_first_frame_of_an_animation(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(frames[0], tmp_path / name, save_all=True, append_images=frames[1:], **options)
    assert pixels(path)[4, 4].tolist() == [255, 0, 0]


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(saved(Image.new("RGB", (30, 20)), tmp_path / "a.jpg", exif=exif)).size == (30, 20)


def test_a_large_image_does_not_warn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path).close()
    assert read_image(path).size == (30, 20)


def test_an_image_above_pillows_limit_is_unreadable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(UnreadableImage, match="exceeds limit"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif"])
def test_truncated(name: str, cat: Image.Image, tmp_path: Path) -> None:
    path = saved(cat, tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImage, match=r"cannot be decoded: ."):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>Not found</html>", "no image of a known format: it begins with b'<html>Not fo'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known format"),
    ],
)
def test_content_that_is_no_image(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(path)


def test_a_path_that_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    reasons = {
        "missing.jpg": "No such file",
        "dangling.jpg": "No such file",
        "loop.jpg": "symbolic links",
        "pipe.jpg": "not a regular file",
        ".": "not a regular file",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImage, match=reason):
            read_image(tmp_path / name)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "gif", "tif", "bmp", "jp2", "avif"])
def test_damage_anywhere_is_decoded_or_unreadable(extension: str, cat: Image.Image, tmp_path: Path) -> None:
    random_numbers = random.Random(extension)
    whole = saved(cat.resize((40, 30)), tmp_path / f"a.{extension}").read_bytes()
    path = tmp_path / f"damaged.{extension}"
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(5):
            damaged[random_numbers.randrange(min(len(whole), 200))] = random_numbers.randrange(256)
        path.write_bytes(damaged)
        try:
            assert read_image(path).mode == "RGB"
        except UnreadableImage as error:
            assert str(error)
            assert str(tmp_path) not in str(error)
            refused += 1
    assert refused


def test_extensions() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".bmp"} <= EXTENSIONS
    assert not {".eps", ".pdf", ".h5", ".mpg", ".txt", ".json"} & EXTENSIONS
