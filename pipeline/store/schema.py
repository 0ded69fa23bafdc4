"""Schema of the store: the columns of a shard, rows of them in memory, and the fingerprint of a job."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import Failure, StoreError

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class ColumnSchema:
    """Dtypes and row shape of one row-aligned dataset.

    Attributes:
        dtypes: The accepted dtypes; an empty shard has the first.
        shape: Of one row; None stands for any length, an ellipsis for any number of axes.
    """

    dtypes: tuple[str, ...]
    shape: tuple[Any, ...] = ()

    def accepts(self, values: np.ndarray) -> bool:
        """Return whether an array (n, ...) has the row shape and a dtype of this column."""
        row = values.shape[1:]
        matches = bool(row) if self.shape == (...,) else len(row) == len(self.shape) and all(
            wanted in (None, length) for wanted, length in zip(self.shape, row, strict=True)
        )  # fmt: skip
        return matches and values.dtype.name in self.dtypes

    def empty(self) -> np.ndarray:
        """Return an array without rows; axes of any length have length 0."""
        row = (0 if length in (None, ...) else length for length in self.shape)
        return np.empty((0, *row), self.dtypes[0])


COLUMNS = {
    "attribution": ColumnSchema(("float16", "float32", "float64"), (...,)),  # the native map over `scale`
    "scale": ColumnSchema(("float32",)),
    "index": ColumnSchema(("int64",)),  # number of the image in the manifest
    "label": ColumnSchema(("int32",)),  # -1: unknown
    "prediction": ColumnSchema(("float32",), (None,)),  # logits
    "features": ColumnSchema(("float32",), (None,)),  # input of the last layer; F is 0 unless store.features=true
    "predicted": ColumnSchema(("int32",)),
    "target": ColumnSchema(("int32",)),
    "score": ColumnSchema(("float32",)),  # F(x) for the target
    "baseline_score": ColumnSchema(("float32",)),
    "convergence_delta": ColumnSchema(("float32",)),  # NaN: undefined
    "error_estimate": ColumnSchema(("float32",)),  # relative, L2; NaN: not estimated
    "evaluations": ColumnSchema(("int32",)),
    "crop": ColumnSchema(("int32",), (6,)),  # height, width; box top, left, bottom, right: original pixels
}

ADDED_IN_VERSION = {"error_estimate": 2, "features": 3}
"""Columns by the schema version that added them. An older file reads as NaN there, or as rows of length 0."""


@dataclass(frozen=True)
class Rows:
    """Explanations and failures of some images; all rows of one image stay together.

    Attributes:
        columns: Arrays (n, ...) under the names of `COLUMNS`; empty if nothing could be explained.
        failures: The images that could not be explained.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.columns["index"]) if self.columns else 0

    @property
    def images(self) -> np.ndarray:
        """Numbers of all images that are explained or failed, sorted, int64."""
        failed = np.array([failure.index for failure in self.failures], np.int64)
        return np.unique(np.concatenate([self.columns["index"], failed]) if self.columns else failed)

    def validate(self) -> None:
        """Check the rows against `COLUMNS`.

        Raises:
            ValueError: A column is missing, unknown, or of another length, shape or dtype.
        """
        if self.columns and set(self.columns) != set(COLUMNS):
            raise ValueError(f"rows need the columns {sorted(COLUMNS)}, got {sorted(self.columns)}")
        for name, values in self.columns.items():
            if len(values) != len(self) or not COLUMNS[name].accepts(values):
                raise ValueError(
                    f"column {name}: expected {len(self)} rows {COLUMNS[name].shape} of "
                    f"{COLUMNS[name].dtypes}, got {values.shape} {values.dtype}"
                )

    def take(self, rows: np.ndarray) -> "Rows":
        """Select rows by number or mask, with all failures."""
        return Rows({name: values[rows] for name, values in self.columns.items()}, self.failures)

    def select_images(self, images: np.ndarray) -> "Rows":
        """Select the rows and failures of some images."""
        if np.isin(self.images, images).all():
            return self
        wanted = set(images.tolist())
        failures = [failure for failure in self.failures if failure.index in wanted]
        rows = self.take(np.isin(self.columns["index"], images)) if self.columns else self
        return Rows(rows.columns, failures)

    @staticmethod
    def concatenate(parts: Iterable["Rows"]) -> "Rows":
        """Concatenate, sorted by image; rows of one image keep the order of their targets."""
        parts = list(parts)
        failures = sorted((one for part in parts for one in part.failures), key=lambda failure: failure.index)
        filled = [part.columns for part in parts if len(part)]
        if not filled:
            return Rows({}, failures)
        columns = {name: np.concatenate([part[name] for part in filled]) for name in filled[0]}
        index, rows = columns["index"], Rows(columns, failures)
        return rows if np.all(index[:-1] <= index[1:]) else rows.take(np.argsort(index, kind="stable"))


def canonical_json(value: Any) -> str:
    """Encode a value as its canonical JSON text: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(identity: dict[str, Any]) -> str:
    """Compute the sha256 (hex) of all that determines a run's numbers, the schema version included."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def check_version(version: int, file: object) -> None:
    """Refuse a file that a newer version of this project wrote.

    Raises:
        StoreError: The file's schema is newer than `SCHEMA_VERSION`.
    """
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{file} has store schema {version}, this version reads up to {SCHEMA_VERSION}: "
            "pip install --upgrade image-attribution-pipeline"
        )
