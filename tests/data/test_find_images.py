"""The options under ``data`` choose the kind of index, and whose labels count."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.demo_photographs import demo_index
from pipeline.data.find_images import find_images, find_labels
from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.errors import UsageError
from tests.data.empty_files import touch_files
from tests.data.options import data_options


def test_without_a_root_the_demo_is_sampled() -> None:
    assert list(find_images(data_options(), "folder").paths) == list(demo_index().paths)
    (path,) = find_images(data_options(classes=["n02123159"]), "folder").paths
    assert path == b"n02123159/chelsea.png"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"list_file": "list.txt"}, "folder", r"data\.root must be given: data\.root=\.\.\. \(data\.list\)"),
        ({}, "webdataset", r"\(data=webdataset\)"),
        ({}, "huggingface", r"\(data=huggingface\)"),
    ],
)
def test_a_root_is_required_for_all_but_the_demo(options: dict[str, str], kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_images(data_options(**options), kind)


def test_a_list_replaces_the_listing(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "list.txt").write_bytes(b"b/2.jpg\nb/absent.jpg\n")
    listed = data_options(root=str(tmp_path), list_file=str(tmp_path / "list.txt"))
    assert list(find_images(data_options(root=str(tmp_path)), "folder").paths) == [b"a/1.jpg", b"b/2.jpg"]
    assert list(find_images(listed, "folder").paths) == [b"b/2.jpg", b"b/absent.jpg"]


def index(label: list[int] | None = None) -> ImageIndex:
    paths = ImagePaths.from_bytes([b"1.jpg", b"2.jpg", b"3.jpg"])
    labels = None if label is None else np.array(label, np.int32)
    return ImageIndex(paths, np.array([1, 0, 1], np.int32), ["cat", "dog"], labels)


def test_labels_are_class_numbers_where_the_data_have_them_else_folders() -> None:
    assert find_labels(index(), data_options(), 2).tolist() == [1, 0, 1]
    assert find_labels(index([5, 0, 5]), data_options(), 6).tolist() == [5, 0, 5]


def test_a_class_map_overrides_class_numbers(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(json.dumps({"cat": 3, "dog": 4}))
    options = data_options(class_map=str(tmp_path / "map.json"))
    assert find_labels(index([5, 0, 5]), options, 6).tolist() == [4, 3, 4]


def test_a_class_number_beyond_the_models_is_refused_with_its_image() -> None:
    with pytest.raises(UsageError, match=r"b'2\.jpg' has label 2, expected 0 to 1"):
        find_labels(index([1, 2, 1]), data_options(), 1)  # a single output has two classes


def test_without_labels_all_are_unknown() -> None:
    labels = find_labels(index([1, 0, 1]), data_options(labels=False), 2)
    assert labels.tolist() == [-1, -1, -1] and labels.dtype == np.int32
