"""Folders that the library datasets wrote, read without it."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.find_images import find_images, find_labels
from pipeline.data.huggingface_dataset import index_saved_dataset
from pipeline.data.image_index import sample
from pipeline.errors import MissingExtra, UsageError
from tests.data.options import data_options

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()
DATA = data_options()
NAMES = ["zebra", "ant", "bee"]


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4 + shade, 4), (shade, shade, shade)).save(stream, "png")
    return stream.getvalue()


def make_dataset(*labels: Any, kind: Any = None, **columns: tuple[Any, list[Any]]) -> Any:
    """A data set whose n-th image is n + 4 pixels wide; label None leaves the column out."""
    images = [{"bytes": picture(number), "path": None} for number in range(len(labels))]
    features, values = {"image": datasets.Image()}, {"image": images}
    if labels[0] is not None or kind is not None:
        features["label"], values["label"] = kind or datasets.ClassLabel(names=NAMES), list(labels)
    for name, (feature, column) in columns.items():
        features[name], values[name] = feature, column
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


def widths(root: Path, index: Any) -> list[int]:
    return [fetch_image(bytes(root), index.paths.location(number)).width for number in range(len(index.paths))]


def test_images_are_read_in_place_in_the_order_of_the_data_set(tmp_path: Path) -> None:
    saved = make_dataset(0, 1, 2, 0, 1, 2, 0).shuffle(seed=3).select(range(1, 6))
    saved.save_to_disk(tmp_path, num_shards=2)
    index = index_saved_dataset(str(tmp_path))
    assert widths(tmp_path, index) == [one["image"].width for one in saved]
    assert find_labels(index, DATA, 3).tolist() == saved["label"][:]
    first, last = "data-00000-of-00002.arrow/000000", "data-00001-of-00002.arrow/000004"
    assert (index.paths[0], index.paths[4]) == (first.encode(), last.encode())
    some = sample(index, limit=2)
    assert widths(tmp_path, some) == [saved[0]["image"].width, saved[2]["image"].width]


def test_more_than_one_batch_of_a_file(tmp_path: Path) -> None:
    many = make_dataset(*[0] * 2500)
    many.save_to_disk(tmp_path)
    index = index_saved_dataset(str(tmp_path))
    assert len(index.paths) == 2500
    for number in (0, 999, 1000, 2499):
        assert fetch_image(bytes(tmp_path), index.paths.location(number)).width == number + 4


def test_all_splits_or_one(tmp_path: Path) -> None:
    datasets.DatasetDict(train=make_dataset(0, 1), test=make_dataset(2)).save_to_disk(tmp_path)
    index = index_saved_dataset(str(tmp_path))
    assert [path.split(b"/")[::2] for path in index.paths] == [
        [b"train", b"000000"], [b"train", b"000001"], [b"test", b"000000"],
    ]  # fmt: skip
    assert (widths(tmp_path, index), index.folder.tolist()) == ([4, 5, 4], [0, 1, 2])
    assert widths(tmp_path / "test", index_saved_dataset(str(tmp_path / "test"))) == [4]
    other = make_dataset(0, kind=datasets.ClassLabel(names=["ant"]))
    datasets.DatasetDict(train=make_dataset(0), test=other).save_to_disk(tmp_path / "other")
    with pytest.raises(UsageError, match=r"its splits differ.*give one: .*/other/train"):
        index_saved_dataset(str(tmp_path / "other"))


def test_names_mean_classes_as_those_of_folders_do_in_the_order_of_the_data_set(tmp_path: Path) -> None:
    make_dataset(0, 2).save_to_disk(tmp_path / "words")
    words = index_saved_dataset(str(tmp_path / "words"))
    assert words.folders == NAMES and find_labels(words, DATA, 3).tolist() == [0, 2]
    with pytest.raises(UsageError, match=r"3 class folders.*the model has 1000 outputs.*data\.class_map"):
        find_labels(words, DATA, 1000)
    (tmp_path / "map.json").write_text(json.dumps({"zebra": 340, "ant": 310, "bee": 309}))
    assert find_labels(words, data_options(class_map=str(tmp_path / "map.json")), 1000).tolist() == [340, 309]
    kind = datasets.ClassLabel(names=["n02123159", "n01440764"])
    make_dataset(0, 1, kind=kind).save_to_disk(tmp_path / "ids")
    assert find_labels(index_saved_dataset(str(tmp_path / "ids")), DATA, 1000).tolist() == [282, 0]


@pytest.mark.parametrize(("kind", "values", "labels"), [("int64", [7, 0], [7, 0]), ("string", ["bee", "ant"], [1, 0])])
def test_labels_of_other_columns(tmp_path: Path, kind: str, values: list[Any], labels: list[int]) -> None:
    make_dataset(0, 1, other=(datasets.Value(kind), values)).save_to_disk(tmp_path)
    index = index_saved_dataset(str(tmp_path), label="other")
    assert find_labels(index, DATA, 8 if kind == "int64" else 2).tolist() == labels


def test_without_labels(tmp_path: Path) -> None:
    make_dataset(0, -1).save_to_disk(tmp_path / "hidden")
    make_dataset(None).save_to_disk(tmp_path / "none")
    with pytest.raises(UsageError, match=r"arrow/000001' has no label \(-1\); data\.labels=false"):
        index_saved_dataset(str(tmp_path / "hidden"))
    with pytest.raises(
        UsageError, match=r"0 columns are of type ClassLabel: give data\.label_column.*data\.labels=false"
    ):
        index_saved_dataset(str(tmp_path / "none"))
    for name in ("hidden", "none"):
        index = index_saved_dataset(str(tmp_path / name), labels=False)
        assert index.folders == [] and set(index.folder) == {-1}


def test_ambiguous_columns_are_refused(tmp_path: Path) -> None:
    second = [{"bytes": picture(30), "path": None}]
    make_dataset(1, mask=(datasets.Image(), second)).save_to_disk(tmp_path)
    with pytest.raises(
        UsageError, match=r"2 columns are of type Image: give data\.image_column, one of \['image', 'label', 'mask'\]"
    ):
        index_saved_dataset(str(tmp_path))
    assert widths(tmp_path, index_saved_dataset(str(tmp_path), image="mask")) == [34]
    with pytest.raises(UsageError, match="its images are int64"):
        index_saved_dataset(str(tmp_path), image="label")


def test_a_broken_image_is_unreadable(tmp_path: Path) -> None:
    values = [{"bytes": b"no image", "path": None}, None, {"bytes": picture(2), "path": None}]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    saved = datasets.Dataset.from_dict({"image": values, "label": [0, 1, 2]}, features=features)
    saved.save_to_disk(tmp_path)
    index = index_saved_dataset(str(tmp_path))
    for number, reason in ((0, "no image of a known format"), (1, "the file is empty")):
        with pytest.raises(UnreadableImage, match=reason):
            fetch_image(bytes(tmp_path), index.paths.location(number))
    (path,) = tmp_path.glob("*.arrow")
    path.write_bytes(path.read_bytes()[: index.paths.location(2).span[0] + 5])
    with pytest.raises(UnreadableImage, match="the archive ends within it"):
        fetch_image(bytes(tmp_path), index.paths.location(2))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("data-00000-of-00001.arrow", lambda data: data[: len(data) // 2], r"arrow cannot be read"),
        ("data-00000-of-00001.arrow", lambda data: b"", r"arrow cannot be read"),
        ("dataset_info.json", lambda data: b"{", r"dataset_info\.json cannot be read"),
        ("dataset_info.json", lambda data: b"{}", r"dataset_info\.json cannot be read: 'features'"),
        ("state.json", lambda data: b"[]", r"state\.json cannot be read"),
        ("state.json", lambda data: data.replace(b"00000-of", b"00001-of"), r"arrow cannot be read"),
    ],
)
def test_the_damaged_file_is_named(tmp_path: Path, file: str, damage: Any, message: str) -> None:
    make_dataset(0, 1).save_to_disk(tmp_path)
    (tmp_path / file).write_bytes(damage((tmp_path / file).read_bytes()))
    with pytest.raises(UsageError, match=message):
        index_saved_dataset(str(tmp_path))


def test_compressed_images_are_refused(tmp_path: Path) -> None:
    import pyarrow

    make_dataset(*range(3)).save_to_disk(tmp_path)
    (path,) = tmp_path.glob("*.arrow")
    table = pyarrow.ipc.open_stream(path.read_bytes()).read_all()
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema, options=options) as file:
        file.write_table(table)
    with pytest.raises(UsageError, match=r"arrow cannot be read: its images are compressed"):
        index_saved_dataset(str(tmp_path))


@pytest.mark.parametrize("root", ["s3://bucket/data", "/nowhere"])
def test_another_folder_is_refused_with_advice(root: str) -> None:
    with pytest.raises(UsageError, match=r"no local folder that save_to_disk wrote: .*Parquet"):
        index_saved_dataset(root)


def test_a_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pipeline.data.huggingface_dataset")
    with pytest.raises(MissingExtra, match=r"data=huggingface needs.*\[datasets\]"):
        find_images(data_options(root=str(tmp_path)), "huggingface")
