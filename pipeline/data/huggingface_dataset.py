"""Index of a data set that Hugging Face's `Dataset.save_to_disk` wrote: byte ranges of its images in Arrow files.

Arrow stores the values of a column one after the other, uncompressed. So an image is one read at its offset, by any
worker, in any order, as in a tar archive. The library datasets is not needed, and pyarrow only for the one listing.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled_index
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
    """The columns of a data set that are read.

    Attributes:
        image: Name of the column of images.
        label: Name of the column of labels; None: no labels are read.
        names: Class names by number; None where labels are plain numbers or text.
    """

    image: str
    label: str | None
    names: list[str] | None


def index_saved_dataset(
    root: str, labels: bool = True, *, image: str | None = None, label: str | None = None
) -> ImageIndex:
    """Lists the images of a saved data set, or of all splits of a `DatasetDict`, in its order.

    An image's path is its file and its number in the data set: ``train/data-00000-of-00002.arrow/000123``. The names of
    a ``ClassLabel`` mean classes as those of class folders do, in the order that the data set gives them.

    Args:
        root: The folder.
        labels: True to read labels; each image must then have one.
        image: The column of images; None: the only one.
        label: The column of labels; None: the only one of type ``ClassLabel``.

    Raises:
        UsageError: The folder is no saved data set, or damaged; the columns are ambiguous; an image has no label.
    """
    folder = Path(root)
    if is_remote(root) or not any((folder / name).exists() for name in (SPLITS, STATE)):
        raise UsageError(f"data.root={root!r} is no local folder that save_to_disk wrote: {ADVICE}")
    splits = _read_key(folder / SPLITS, "splits") if (folder / SPLITS).exists() else [""]
    columns = [_choose_columns(folder / split, labels, image, label) for split in splits]
    if any(other != columns[0] for other in columns):
        raise UsageError(f"data.root={root!r}: its splits differ in columns or classes; give one: {root}/{splits[0]}")
    files = [file for split in splits for file in _index_split(folder, split, columns[0])]
    paths = ImagePaths.join([file_paths for file_paths, _ in files])
    if not len(paths):
        raise UsageError(f"data.root={root!r}: no images in it")
    values = [value for _, file_values in files for value in file_values]
    return _labelled_index(paths, values, columns[0]) if labels else unlabelled_index(paths)


def _choose_columns(folder: Path, labels: bool, image: str | None, label: str | None) -> DatasetColumns:
    features = _read_key(folder / INFO, "features")
    image_column = _choose_column(folder, features, image, kind="Image", option="data.image_column")
    if not labels:
        return DatasetColumns(image_column, None, None)
    label_column = _choose_column(folder, features, label, kind="ClassLabel", option="data.label_column")
    return DatasetColumns(image_column, label_column, features[label_column].get("names"))


def _choose_column(folder: Path, features: dict[str, Any], requested: str | None, *, kind: str, option: str) -> str:
    """The requested column, or the only one of its type."""
    candidates = [name for name, feature in features.items() if feature.get("_type") == kind]
    if requested is None and len(candidates) == 1:
        return candidates[0]
    if requested not in features:
        alternative = "" if kind == "Image" else ", or data.labels=false"
        raise UsageError(
            f"{folder}: {len(candidates)} columns are of type {kind}: give {option}, one of {[*features]}{alternative}"
        )
    return str(requested)


def _index_split(root: Path, split: str, columns: DatasetColumns) -> Iterator[tuple[ImagePaths, list[Any]]]:
    """Paths with byte ranges, and label values, of the images of one data set, file by file."""
    folder, first = root / split, 0
    for data_file in _read_key(folder / STATE, "_data_files"):
        name = Path(data_file["filename"]).name  # without folders: the file lies beside state.json
        try:
            batches = [*_read_record_batches(folder / name, columns)]
        except (OSError, KeyError, arrow.ArrowException) as error:
            raise UsageError(f"data.root: {folder / name} cannot be read: {error}") from error
        spans = np.concatenate([np.empty((0, 2), np.int64), *(batch_spans for batch_spans, _ in batches)])
        archive = f"{split}/{name}" if split else name
        numbers = range(first, first + len(spans))
        yield (
            ImagePaths.from_bytes((b"%s/%06d" % (archive.encode(), number) for number in numbers), spans),
            [value for _, values in batches for value in values],
        )
        first += len(spans)


def _read_record_batches(path: Path, columns: DatasetColumns) -> Iterator[tuple[np.ndarray, list[Any]]]:
    """Byte ranges (n, 2) and label values of each record batch."""
    with arrow.memory_map(str(path)) as file:
        file_address, size = file.read_buffer(1).address, file.size()
        file.seek(0)
        for batch in arrow.ipc.open_stream(file):
            spans = _byte_ranges(batch.column(columns.image), file_address)
            # pyarrow decompresses into new buffers, whose addresses are not in the mapped file
            if len(spans) and (spans.min() < 0 or spans.sum(1).max() > size):
                raise arrow.ArrowInvalid("its images are compressed, or lie beyond its end")
            yield spans, batch.column(columns.label).to_pylist() if columns.label else []


def _byte_ranges(images: Any, file_address: int) -> np.ndarray:
    """Offset in the file and length of each image, int64 (n, 2); 0, 0 for a null image.

    Args:
        images: Column of structs with a field ``bytes``, as a slice of the mapped file.
        file_address: Memory address of the file's first byte.
    """
    if not arrow.types.is_struct(images.type):
        raise arrow.ArrowInvalid(f"its images are {images.type}, expected their bytes")
    fields = dict(zip((field.name for field in images.type), images.flatten(), strict=True))
    content = fields["bytes"]
    content.validate(full=True)
    _, offset_buffer, data = content.buffers()
    width = np.int64 if arrow.types.is_large_binary(content.type) else np.int32
    offsets = np.frombuffer(offset_buffer, width)[content.offset : content.offset + len(content) + 1].astype(np.int64)
    data_start = 0 if data is None else data.address - file_address
    not_null = ~content.is_null().to_numpy(zero_copy_only=False)
    spans: np.ndarray = np.stack([data_start + offsets[:-1], np.diff(offsets)], 1) * not_null[:, None]
    return spans


def _labelled_index(paths: ImagePaths, values: list[Any], columns: DatasetColumns) -> ImageIndex:
    if columns.names is None:
        encoder = LabelEncoder()
        return encoder.index(paths, encoder.encode(_label_text(paths, values)))
    class_numbers = range(len(columns.names))
    for image, value in enumerate(values):
        if value not in class_numbers:  # test splits of the hub have -1
            raise UsageError(f"{paths[image]!r} has no label ({value}); data.labels=false takes images without")
    return ImageIndex(paths, np.array(values, np.int32), columns.names)


def _label_text(paths: ImagePaths, values: Iterable[Any]) -> Iterator[bytes]:
    for image, value in enumerate(values):
        if value is None:
            raise UsageError(f"{paths[image]!r} has no label; data.labels=false takes images without")
        yield str(value).encode()


def _read_key(path: Path, key: str) -> Any:
    """The value of a key in a JSON file."""
    try:
        content = json.loads(path.read_bytes())
        if content.get("_indices_data_files"):
            raise ValueError("its order is in a file of its own, as datasets 1 wrote it")
        return content[key]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"data.root: {path} cannot be read: {error}; {ADVICE}") from error
