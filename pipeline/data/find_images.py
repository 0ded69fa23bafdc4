"""The options under ``data`` -> the images, and their classes."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.class_folders import class_of_folder
from pipeline.data.demo_photographs import demo_index
from pipeline.data.image_index import ImageIndex, index_folder, sample
from pipeline.data.list_file import read_list
from pipeline.data.webdataset import index_archives
from pipeline.errors import UsageError

WEBDATASET, HUGGINGFACE = "webdataset", "huggingface"


def find_images(data: dict[str, Any], kind: str) -> ImageIndex:
    """The images that the options name, sampled as they say.

    Args:
        data: The options under ``data``.
        kind: The chosen file of that group: ``folder``, ``webdataset`` or ``huggingface``.

    Raises:
        UsageError: They name none, or cannot be read.
    """
    classes = data["classes"] and [str(name) for name in data["classes"]]  # Hydra reads a name of digits as a number
    return sample(_all(data, kind), limit=data["limit"], per_class=data["per_class"], classes=classes)


def _all(data: dict[str, Any], kind: str) -> ImageIndex:
    root, listed = data["root"], data.get("list")  # only folders have lists
    if root is None:
        if listed is not None or kind in (WEBDATASET, HUGGINGFACE):
            raise UsageError(f"data.root must be given: data.root=... ({'data.list' if listed else f'data={kind}'})")
        return demo_index()
    if kind == WEBDATASET:
        return index_archives(root, data["labels"])
    if kind == HUGGINGFACE:
        from pipeline.data.arrow import index_saved_dataset  # needs an extra

        return index_saved_dataset(root, data["labels"], image=data["image_column"], label=data["label_column"])
    return index_folder(root, data["labels"]) if listed is None else read_list(listed, data["labels"])


def find_labels(index: ImageIndex, data: dict[str, Any], n_outputs: int) -> np.ndarray:
    """The class number of each image, int32 (n,), -1 where unknown.

    Raises:
        UsageError: What the images say of their classes does not tell the model's.
    """
    if not data["labels"]:
        return np.full(len(index.paths), -1, np.int32)
    class_map = Path(data["class_map"]) if data["class_map"] else None
    if index.label is None or class_map is not None:
        return np.asarray(class_of_folder(index.folders, n_outputs, class_map)[index.folder], np.int32)
    n_classes = max(n_outputs, 2)  # a single output tells class 0 from class 1
    if (beyond := np.flatnonzero(index.label >= n_classes)).size:
        first = index.paths[int(beyond[0])]
        raise UsageError(f"{first!r} has label {index.label[beyond[0]]}, expected 0 to {n_classes - 1}")
    return index.label
