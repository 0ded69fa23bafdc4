"""The options under ``data`` -> index of the images, and their labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.class_folders import class_count, class_of_folder, log_order, names_by_folders
from pipeline.data.data_options import DataOptions
from pipeline.data.demo_photographs import demo_index
from pipeline.data.image_index import ImageIndex, index_folder, sample
from pipeline.data.list_file import read_list
from pipeline.data.webdataset import index_archives
from pipeline.errors import UsageError

WEBDATASET, HUGGINGFACE = "webdataset", "huggingface"


def find_images(data: DataOptions, kind: str) -> ImageIndex:
    """Lists the images that the options name, and samples them.

    Args:
        data: The options under ``data``.
        kind: The chosen option of the group: ``folder``, ``webdataset`` or ``huggingface``.

    Raises:
        UsageError: There are no images, or they cannot be listed.
    """
    return sample(_list_all(data, kind), limit=data.limit, per_class=data.per_class, classes=data.classes)


def _list_all(data: DataOptions, kind: str) -> ImageIndex:
    root, listed = data.root, data.list_file
    if root is None:
        if listed is not None or kind in (WEBDATASET, HUGGINGFACE):
            raise UsageError(f"data.root must be given: data.root=... ({'data.list' if listed else f'data={kind}'})")
        return demo_index()
    if kind == WEBDATASET:
        return index_archives(root, data.labels)
    if kind == HUGGINGFACE:
        from pipeline.data.huggingface_dataset import index_saved_dataset  # here: it needs the extra `datasets`

        return index_saved_dataset(root, data.labels, image=data.image_column, label=data.label_column)
    return index_folder(root, data.labels) if listed is None else read_list(listed, data.labels)


def find_labels(index: ImageIndex, data: DataOptions, n_outputs: int) -> np.ndarray:
    """Class number of each image, int32 (n,); -1 without labels.

    Args:
        index: Of the images.
        data: The options under ``data``.
        n_outputs: Of the model.

    Raises:
        UsageError: The folders or labels do not determine classes of the model.
    """
    if not data.labels:
        return np.full(len(index.paths), -1, np.int32)
    class_map = Path(data.class_map) if data.class_map else None
    if index.label is None or class_map is not None:
        classes = class_of_folder(index.folders, n_outputs, class_map)
        if class_map is None:
            log_order(index.folders, classes)
        return np.asarray(classes[index.folder], np.int32)
    n_classes = class_count(n_outputs)
    if (beyond := np.flatnonzero(index.label >= n_classes)).size:
        first = index.paths[int(beyond[0])]
        raise UsageError(f"{first!r} has label {index.label[beyond[0]]}, expected 0 to {n_classes - 1}")
    return index.label


def find_class_names(
    index: ImageIndex, data: DataOptions, class_names: Sequence[str], default_names: Sequence[str]
) -> list[str]:
    """Class names of a run: the model's own, else those of the class folders, labels or class map.

    Args:
        index: Of the images; their labels are valid.
        data: The options under ``data``.
        class_names: The model's, one for each output.
        default_names: Of a model of as many outputs without names of its own.
    """
    class_map = Path(data.class_map) if data.class_map else None
    if not data.labels or not index.folders or (index.label is not None and class_map is None):
        return list(class_names)
    classes = class_of_folder(index.folders, len(class_names), class_map)
    return names_by_folders(class_names, index.folders, classes, default_names)
