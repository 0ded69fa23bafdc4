"""The same image from a file, a byte range of an archive, and an object store."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.image_paths import ImageLocation
from pipeline.system.remote import file_system


@pytest.fixture
def content() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(stream, "png")
    return stream.getvalue()


def write(root: str, name: str, content: bytes) -> None:
    if "://" in root:
        system, path = file_system(root)
        system.pipe_file(f"{path}/{name}", content)
    else:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else "memory://fetch"


def test_a_file_and_a_byte_range_decode_to_the_same_image(root: str, content: bytes) -> None:
    write(root, "a/1.png", content)
    write(root, "b/x.tar", b"header" + content + b"padding")
    expected = np.arange(60).reshape(4, 5, 3)
    span = (len(b"header"), len(content))
    for location in (ImageLocation(b"a/1.png", None), ImageLocation(b"b/x.tar/deep/1.png", span)):
        assert np.array_equal(fetch_image(os.fsencode(root), location), expected)


@pytest.mark.parametrize("name", ["x.tar/y.tar/z.png", "x.arrow/000123", "x.tar/y.arrow/1.png"])
def test_the_first_archive_of_the_path_is_read(name: str, root: str, content: bytes) -> None:
    write(root, name.partition("/")[0], content)
    location = ImageLocation(name.encode(), (0, len(content)))
    assert fetch_image(os.fsencode(root), location).size == (5, 4)


def test_a_root_that_is_called_like_an_archive(tmp_path: Path, content: bytes) -> None:
    write(str(tmp_path), "data.tar/x.tar", content)
    root = os.fsencode(tmp_path / "data.tar")
    assert fetch_image(root, ImageLocation(b"x.tar/1.png", (0, len(content)))).size == (5, 4)


def test_a_range_beyond_the_end_allocates_no_more_than_the_file(root: str, content: bytes) -> None:
    write(root, "x.tar", content)
    with pytest.raises(UnreadableImage, match="the archive ends within it"):
        fetch_image(os.fsencode(root), ImageLocation(b"x.tar/1.png", (4, 1 << 50)))


def test_a_missing_file_archive_or_object_is_unreadable(root: str) -> None:
    for location in (ImageLocation(b"no.png", None), ImageLocation(b"no.tar/1.png", (0, 9))):
        with pytest.raises(UnreadableImage):
            fetch_image(os.fsencode(root), location)


def test_a_name_in_another_unicode_form_is_found(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9").mkdir()
    Image.new("RGB", (3, 4)).save(tmp_path / "caf\u00e9/1.png")
    location = ImageLocation("cafe\u0301/1.png".encode(), None)
    assert fetch_image(bytes(tmp_path), location).size == (3, 4)
    with pytest.raises(UnreadableImage, match="No such file"):
        fetch_image(bytes(tmp_path), ImageLocation("th\u00e9/1.png".encode(), None))
