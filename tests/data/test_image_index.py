import logging
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.image_index import ImageIndex, index_folder, sample
from pipeline.errors import UsageError
from tests.data.empty_files import touch_files


def images_by_folder(index: ImageIndex) -> dict[str, list[bytes]]:
    numbers = index.folder.tolist()
    return {
        name: [path for path, folder in zip(index.paths, numbers, strict=True) if folder == number]
        for number, name in enumerate(index.folders)
    }


def test_order_is_class_folder_then_path(tmp_path: Path) -> None:
    # Of whole paths "a b/..." would stand before "a/...", since " " is before "/".
    touch_files(tmp_path, "b/2.jpg", "b/10.jpg", "a b/1.jpg", "a/z.jpg", "a/b/c/d.jpg", "B/1.jpg", "a/b-1.jpg")
    index = index_folder(tmp_path)
    assert list(index.paths) == [
        b"B/1.jpg", b"a/b-1.jpg", b"a/b/c/d.jpg", b"a/z.jpg", b"a b/1.jpg", b"b/10.jpg", b"b/2.jpg",
    ]  # fmt: skip
    assert index.folders == ["B", "a", "a b", "b"]
    assert index.folder.tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert index.folder.dtype == np.int32


def test_images_are_known_by_their_extension(tmp_path: Path) -> None:
    images = ["a.jpg", "b.JPEG", "c.Png", "d.tar.webp", "e.GIF", "f.tiff", "g.bmp"]
    others = ["h.txt", "jpg", ".hidden.jpg", "i.jpg.part", "j.eps", "k", "l.h5", ".thumbnails/m.jpg"]
    index = index_folder(touch_files(tmp_path, *(f"x/{name}" for name in images + others), ".git/n.jpg"))
    assert list(index.paths) == [os.fsencode(f"x/{name}") for name in images]
    assert index.folders == ["x"]


def test_any_name(tmp_path: Path) -> None:
    names = [b"a folder/an image.jpg", b"a\nb/c\nd.jpg", b"\xe9t\xe9/\xff\xfe.jpg", "ß/日本.jpg".encode()]
    index = index_folder(touch_files(tmp_path, *names))
    assert sorted(index.paths) == sorted(names)
    assert [os.fsencode(name) for name in index.folders] == sorted(name.split(b"/")[0] for name in names)
    assert all((tmp_path / os.fsdecode(path)).exists() for path in index.paths)


def test_a_folder_named_like_an_image(tmp_path: Path) -> None:
    assert list(index_folder(touch_files(tmp_path, "a/b.jpg/c.jpg")).paths) == [b"a/b.jpg/c.jpg"]


def test_a_class_without_images_counts(tmp_path: Path) -> None:
    (touch_files(tmp_path, "a/1.jpg", "c/1.jpg") / "b").mkdir()
    index = index_folder(tmp_path)
    assert index.folders == ["a", "b", "c"]
    assert index.folder.tolist() == [0, 2]


def test_without_labels(tmp_path: Path) -> None:
    index = index_folder(touch_files(tmp_path, "z.jpg", "a/b/1.jpg", "a.jpg", "a/2.jpg"), labels=False)
    assert list(index.paths) == [b"a.jpg", b"a/2.jpg", b"a/b/1.jpg", b"z.jpg"]
    assert index.folder.tolist() == [-1] * 4
    assert index.folder.dtype == np.int32
    assert index.folders == []


def test_images_in_no_class_folder_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(index_folder(touch_files(tmp_path, "stray.jpg", "a/1.jpg")).paths) == [b"a/1.jpg"]
    assert "1 images directly in" in caplog.text


def test_the_order_is_stable(tmp_path: Path) -> None:
    names = [f"{folder}/{number}.jpg" for folder in "cab" for number in range(50)]
    first = index_folder(touch_files(tmp_path / "first", *names))
    second = index_folder(touch_files(tmp_path / "second", *reversed(names)))
    assert list(first.paths) == list(second.paths)
    assert first.folder.tolist() == second.folder.tolist()


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        ([], True, "has no class folders: the folder is empty"),
        ([], False, "no images below it"),
        (["1.jpg"], True, "data.labels=false"),
        (["a/1.txt"], True, "no images below it .*jpg"),
    ],
)
def test_a_folder_without_images_is_refused(names: list[str], labels: bool, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        index_folder(touch_files(tmp_path, *names), labels)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot list '.*nowhere': No such file"):
        index_folder(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Not a directory"):
        index_folder(touch_files(tmp_path, "file") / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    (touch_files(tmp_path, "a/1.jpg", "b/2.jpg") / "b").chmod(0)
    with pytest.raises(UsageError, match=r"cannot list '.*/b': Permission denied"):
        index_folder(tmp_path)
    (tmp_path / "b").chmod(0o700)


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    """Classes of 5, 0, 2 and 8 images."""
    counts = {"cat": 5, "cow": 0, "dog": 2, "emu": 8}
    for name in counts:
        (tmp_path / name).mkdir()
    touch_files(tmp_path, *(f"{name}/{number}.jpg" for name, count in counts.items() for number in range(count)))
    return index_folder(tmp_path)


def test_sample_of_all(index: ImageIndex) -> None:
    assert list(sample(index).paths) == list(sample(index, limit=15).paths) == list(index.paths)
    assert list(sample(index, limit=10**9, per_class=10**9).paths) == list(index.paths)


def test_per_class(index: ImageIndex) -> None:
    few = sample(index, per_class=3)
    assert [len(paths) for paths in images_by_folder(few).values()] == [3, 0, 2, 3]
    assert images_by_folder(few)["emu"] == [b"emu/0.jpg", b"emu/1.jpg", b"emu/2.jpg"]
    assert few.folders == index.folders
    assert few.folder.dtype == np.int32


def test_classes_keep_their_numbers(index: ImageIndex) -> None:
    chosen = sample(index, classes=["emu", "dog", "emu"])
    assert chosen.folder.tolist() == [2] * 2 + [3] * 8
    assert chosen.folders == index.folders
    assert list(chosen.paths) == [path for path in index.paths if path[:3] in (b"dog", b"emu")]


def test_limit_is_spread_evenly(index: ImageIndex) -> None:
    numbers = [list(index.paths).index(path) for path in sample(index, limit=4).paths]
    assert numbers == [0, 3, 7, 11]
    assert sample(index, limit=4).folder.tolist() == index.folder[numbers].tolist()
    for limit in range(1, 16):
        assert len(set(sample(index, limit=limit).paths)) == limit


def test_classes_per_class_and_limit_together(index: ImageIndex) -> None:
    chosen = sample(index, classes=["cat", "emu"], per_class=4, limit=2)
    assert list(chosen.paths) == [b"cat/0.jpg", b"emu/0.jpg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["cats"]}, "no class folder 'cats' among 4; did you mean 'cat'"),
        ({"classes": ["zzz"]}, "the first is 'cat'"),
        ({"classes": ["cow"]}, r"\['cow'\]: no images"),
        ({"limit": 0}, "data.limit=0"),
        ({"per_class": -1}, "data.per_class=-1"),
    ],
)
def test_an_invalid_sample_is_refused(index: ImageIndex, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sample(index, **options)


@pytest.mark.parametrize("options", [{"classes": ["a"]}, {"per_class": 1}])
def test_classes_of_an_unlabelled_folder(tmp_path: Path, options: dict[str, object]) -> None:
    index = index_folder(touch_files(tmp_path, "a/1.jpg"), labels=False)
    with pytest.raises(UsageError, match="labels is false"):
        sample(index, **options)
    assert sample(index, limit=1).folder.tolist() == [-1]


def test_unicode_forms_of_one_folder_are_one_class(tmp_path: Path) -> None:
    for folder in ("caf\u00e9", "cafe\u0301", "cat"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    index = index_folder(tmp_path)
    assert (index.folders, index.folder.tolist()) == (["cafe\u0301", "cat"], [0, 0, 1])
    for form in ("caf\u00e9", "cafe\u0301"):
        assert sample(index, classes=[form]).folder.tolist() == [0, 0]


@pytest.mark.parametrize("labels", [True, False])
def test_image_files_that_are_not_read_are_counted(
    tmp_path: Path, labels: bool, caplog: pytest.LogCaptureFixture
) -> None:
    touch_files(tmp_path, "a/1.jpg", "a/2.HEIC", "b/3.heic", "b/deep/4.jxl", "b/notes.txt", "b/.5.heic")
    assert list(index_folder(tmp_path, labels).paths) == [b"a/1.jpg"]
    (record,) = caplog.records
    assert "3 image files" in record.message and "left out (2 .heic, 1 .jxl)" in record.message
