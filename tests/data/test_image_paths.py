"""Paths packed into arrays behave as a list of bytes."""

import numpy as np
import pytest

from pipeline.data import image_paths
from pipeline.data.image_paths import ImageLocation, ImagePaths

PATHS = [b"a/1.jpg", b"", b"b/\xff\n.png", b"c"]


def test_paths_are_packed_in_order() -> None:
    paths = ImagePaths.from_bytes(iter(PATHS))
    assert len(paths) == 4
    assert list(paths) == PATHS
    assert paths[2] == PATHS[2]
    assert paths[-1] == b"c"
    with pytest.raises(IndexError):
        paths[4]
    assert paths.blob.dtype == np.uint8
    assert paths.offsets.dtype == np.int64
    assert paths.offsets.tolist() == [0, 7, 7, 15, 16]


def test_no_paths() -> None:
    assert list(ImagePaths.from_bytes([])) == []
    assert ImagePaths.from_bytes([]).offsets.tolist() == [0]


def test_take_and_join_keep_the_byte_ranges_with_their_paths() -> None:
    spans = np.arange(8).reshape(4, 2)
    paths = ImagePaths.from_bytes(PATHS, spans)
    taken = paths.take(np.array([2, 0, 2]))
    assert [taken.location(number) for number in range(3)] == [
        ImageLocation(PATHS[2], (4, 5)),
        ImageLocation(PATHS[0], (0, 1)),
        ImageLocation(PATHS[2], (4, 5)),
    ]
    joined = ImagePaths.join([paths, ImagePaths.from_bytes([], spans[:0]), taken])
    assert list(joined) == [*PATHS, *taken]
    assert joined.location(6) == taken.location(2)
    assert ImagePaths.from_bytes(PATHS).location(0) == ImageLocation(PATHS[0], None)


def test_a_path_is_found_whole_on_any_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_paths, "PAGE", 3)
    names = [b"x/a", b"a", b"ab", b"b", b"aa", b"a/b", b"bb", b"b/a"]
    paths = ImagePaths.from_bytes(names)
    assert [paths.find(name) for name in names] == list(range(len(names)))
    for absent in (b"", b"x", b"/a", b"aab", b"bb/a", b"x/aa"):  # the last three span two paths
        assert paths.find(absent) is None
