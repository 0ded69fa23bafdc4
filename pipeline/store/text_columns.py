"""Columns of text that belong to a table's columns of numbers: paths and class names."""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.models.class_names import class_name
from pipeline.store.manifest import Manifest

NAMED = ("label", "target", "predicted")
"""Columns of class numbers; their names are in the columns ``label_name``, ..."""


def text_columns(manifest: Manifest, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Paths and class names of rows, each (n,), of NumPy's fixed-width text.

    Args:
        manifest: Of the run.
        columns: The rows' ``index`` and class numbers.
    """

    def name(number: int) -> str:
        return class_name(manifest.class_names, number) if number >= 0 else ""

    paths = _looked_up(columns["index"], lambda image: str(manifest.path(image)))
    return {"path": paths, **{f"{column}_name": _looked_up(columns[column], name) for column in NAMED}}


def _looked_up(numbers: np.ndarray, text: Callable[[int], str]) -> np.ndarray:
    """The text of each number, found once for each distinct number."""
    distinct, place = np.unique(numbers, return_inverse=True)
    texts = np.array([text(number) for number in distinct.tolist()], str)
    return texts[place]
