"""A folder that `Dataset.save_to_disk` of Hugging Face wrote -> where each image's bytes are in its Arrow files.

Arrow keeps the values of a column one after the other, uncompressed. So an image is one read at its place, by any
worker, in any order, as in a tar archive; the library datasets is not needed, nor pyarrow after the one listing.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled
from pipeline.errors import MissingExtra, UsageError
from pipeline.system.remote import is_remote

try:
    import pyarrow as arrow
except ImportError as missing:
    raise MissingExtra("datasets", "data=huggingface") from missing

INFO, STATE, SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"
ADVICE = "datasets.load_dataset(...).save_to_disk(FOLDER) writes one, also of Parquet files"


@dataclass(frozen=True)
class DatasetColumns:
    """Which columns of a data set are looked at.

    Attributes:
        image: Name of the column of images.
        label: Name of that of labels; None: without.
        names: Of the classes, in the order of their numbers; None where labels are plain numbers or words.
    """

    image: str
    label: str | None
    names: list[str] | None


def index_saved_dataset(
    root: str, labels: bool = True, *, image: str | None = None, label: str | None = None
) -> ImageIndex:
    """Lists the images of a saved data set, or of all splits of several, in its order.

    An image is called by its file and its number in the data set: ``train/data-00000-of-00002.arrow/000123``. The
    names of a ``ClassLabel`` mean classes as those of class folders do, in the order that the data set gives them.

    Args:
        root: The folder.
        labels: Whether each image must have one.
        image: The column of images; None: the only one.
        label: The column of labels; None: the only one of ``ClassLabel``.

    Raises:
        UsageError: It is no such folder, or damaged; which column is meant is open; an image has no label.
    """
    folder = Path(root)
    if is_remote(root) or not any((folder / name).exists() for name in (SPLITS, STATE)):
        raise UsageError(f"data.root={root!r} is no folder of this machine that save_to_disk wrote: {ADVICE}")
    splits = _json(folder / SPLITS, "splits") if (folder / SPLITS).exists() else [""]
    found = [_columns(folder / split, labels, image, label) for split in splits]
    if any(columns != found[0] for columns in found):
        raise UsageError(f"data.root={root!r}: its splits differ in columns or classes; give one: {root}/{splits[0]}")
    read = [part for split in splits for part in _split(folder, split, found[0])]
    paths, values = ImagePaths.join([places for places, _ in read]), [value for _, words in read for value in words]
    if not len(paths):
        raise UsageError(f"data.root={root!r}: no images in it")
    return _labelled(paths, values, found[0]) if labels else unlabelled(paths)


def _columns(folder: Path, labels: bool, image: str | None, label: str | None) -> DatasetColumns:
    features = _json(folder / INFO, "features")
    images = _column(folder, features, image, kind="Image", option="data.image_column")
    if not labels:
        return DatasetColumns(images, None, None)
    named = _column(folder, features, label, kind="ClassLabel", option="data.label_column")
    return DatasetColumns(images, named, features[named].get("names"))


def _column(folder: Path, features: dict[str, Any], wanted: str | None, *, kind: str, option: str) -> str:
    """The column that is asked for, or the only one of its kind."""
    fitting = [name for name, feature in features.items() if feature.get("_type") == kind]
    if wanted is None and len(fitting) == 1:
        return fitting[0]
    if wanted not in features:
        without = "" if kind == "Image" else ", or data.labels=false"
        raise UsageError(f"{folder}: {len(fitting)} columns are of {kind}: give {option}, of {[*features]}{without}")
    return str(wanted)


def _split(root: Path, split: str, columns: DatasetColumns) -> Iterator[tuple[ImagePaths, list[Any]]]:
    """Places and labels of the images of one data set, file by file."""
    folder, first = root / split, 0
    for described in _json(folder / STATE, "_data_files"):
        name = Path(described["filename"]).name  # it lies beside its description
        try:
            batches = [*_batches(folder / name, columns)]
        except (OSError, KeyError, arrow.ArrowException) as error:
            raise UsageError(f"data.root: {folder / name} cannot be read: {error}") from error
        spans = np.concatenate([np.empty((0, 2), np.int64), *(places for places, _ in batches)])
        archive = f"{split}/{name}" if split else name
        numbers = range(first, first + len(spans))
        yield (
            ImagePaths.from_bytes((b"%s/%06d" % (archive.encode(), number) for number in numbers), spans),
            [value for _, values in batches for value in values],
        )
        first += len(spans)


def _batches(path: Path, columns: DatasetColumns) -> Iterator[tuple[np.ndarray, list[Any]]]:
    with arrow.memory_map(str(path)) as file:
        start, size = file.read_buffer(1).address, file.size()
        file.seek(0)
        for batch in arrow.ipc.open_stream(file):
            spans = _spans(batch.column(columns.image), start)
            if len(spans) and (spans.min() < 0 or spans.sum(1).max() > size):
                raise arrow.ArrowInvalid("its images are compressed, or lie beyond its end")
            yield spans, batch.column(columns.label).to_pylist() if columns.label else []


def _spans(images: Any, start: int) -> np.ndarray:
    """First byte in the file and length of each image, int64 (n, 2); nothing of an image that is not there."""
    if not arrow.types.is_struct(images.type):
        raise arrow.ArrowInvalid(f"its images are {images.type}, expected their bytes")
    fields = dict(zip((field.name for field in images.type), images.flatten(), strict=True))
    content = fields["bytes"]
    content.validate(full=True)
    _, ends, data = content.buffers()
    width = np.int64 if arrow.types.is_large_binary(content.type) else np.int32
    offsets = np.frombuffer(ends, width)[content.offset : content.offset + len(content) + 1].astype(np.int64)
    first = 0 if data is None else data.address - start
    there = ~content.is_null().to_numpy(zero_copy_only=False)
    spans: np.ndarray = np.stack([first + offsets[:-1], np.diff(offsets)], 1) * there[:, None]
    return spans


def _labelled(paths: ImagePaths, values: list[Any], columns: DatasetColumns) -> ImageIndex:
    if columns.names is None:
        words = LabelEncoder()
        return words.index(paths, words.numbers(_words(paths, values)))
    known = range(len(columns.names))
    for image, value in enumerate(values):
        if value not in known:  # test splits of the hub have -1
            raise UsageError(f"{paths[image]!r} has no label ({value}); data.labels=false takes images without")
    return ImageIndex(paths, np.array(values, np.int32), columns.names)


def _words(paths: ImagePaths, values: Iterable[Any]) -> Iterator[bytes]:
    for image, value in enumerate(values):
        if value is None:
            raise UsageError(f"{paths[image]!r} has no label; data.labels=false takes images without")
        yield str(value).encode()


def _json(path: Path, name: str) -> Any:
    """What a description says under a name."""
    try:
        described = json.loads(path.read_bytes())
        if described.get("_indices_data_files"):
            raise ValueError("its order is in a file of its own, as datasets 1 wrote it")
        return described[name]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"data.root: {path} cannot be read: {error}; {ADVICE}") from error
