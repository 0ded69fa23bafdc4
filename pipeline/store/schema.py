"""What the store holds: the columns of a shard, rows of them in memory, and the fingerprint of a job."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import Failure, StoreError

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Column:
    """A row-aligned dataset.

    Attributes:
        dtypes: Those it may have; an empty shard has the first.
        shape: Of one row; None stands for any length, an ellipsis for any number of axes.
    """

    dtypes: tuple[str, ...]
    shape: tuple[Any, ...] = ()

    def admits(self, values: np.ndarray) -> bool:
        """Whether rows of this column may look like ``values``."""
        row = values.shape[1:]
        fits = bool(row) if self.shape == (...,) else len(row) == len(self.shape) and all(
            wanted in (None, length) for wanted, length in zip(self.shape, row, strict=True)
        )  # fmt: skip
        return fits and values.dtype.name in self.dtypes

    def empty(self) -> np.ndarray:
        """No rows; lengths that only rows could tell are 0."""
        row = (0 if length in (None, ...) else length for length in self.shape)
        return np.empty((0, *row), self.dtypes[0])


COLUMNS = {
    "attribution": Column(("float16", "float32", "float64"), (...,)),  # the native map over `scale`
    "scale": Column(("float32",)),
    "index": Column(("int64",)),  # number of the image in the manifest
    "label": Column(("int32",)),  # -1: unknown
    "prediction": Column(("float32",), (None,)),  # logits
    "features": Column(("float32",), (None,)),  # what the classifier's last layer reads; none unless asked for
    "predicted": Column(("int32",)),
    "target": Column(("int32",)),
    "score": Column(("float32",)),  # F(x) for the target
    "baseline_score": Column(("float32",)),
    "convergence_delta": Column(("float32",)),  # NaN: undefined
    "error_estimate": Column(("float32",)),  # relative, L2; NaN: not estimated
    "evaluations": Column(("int32",)),
    "crop": Column(("int32",), (6,)),  # height, width; box top, left, bottom, right: original pixels
}

ADDED = {"error_estimate": 2, "features": 3}
"""Columns that came with a later schema. Older files read as NaN there, or as nothing if rows may have any length."""


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

    def check(self) -> None:
        """Holds the rows against `COLUMNS`.

        Raises:
            ValueError: A column is missing, unknown, or of another length, shape or dtype.
        """
        if self.columns and set(self.columns) != set(COLUMNS):
            raise ValueError(f"rows need the columns {sorted(COLUMNS)}, got {sorted(self.columns)}")
        for name, values in self.columns.items():
            if len(values) != len(self) or not COLUMNS[name].admits(values):
                raise ValueError(
                    f"column {name}: expected {len(self)} rows {COLUMNS[name].shape} of "
                    f"{COLUMNS[name].dtypes}, got {values.shape} {values.dtype}"
                )

    def take(self, rows: np.ndarray) -> "Rows":
        """Some rows, by number or mask, with all failures."""
        return Rows({name: values[rows] for name, values in self.columns.items()}, self.failures)

    def of(self, images: np.ndarray) -> "Rows":
        """The rows and failures of some images."""
        if np.isin(self.images, images).all():
            return self
        wanted = set(images.tolist())
        failures = [failure for failure in self.failures if failure.index in wanted]
        rows = self.take(np.isin(self.columns["index"], images)) if self.columns else self
        return Rows(rows.columns, failures)

    @staticmethod
    def join(parts: Iterable["Rows"]) -> "Rows":
        """One after the other, sorted by image; rows of one image keep the order of their targets."""
        parts = list(parts)
        failures = sorted((one for part in parts for one in part.failures), key=lambda failure: failure.index)
        filled = [part.columns for part in parts if len(part)]
        if not filled:
            return Rows({}, failures)
        columns = {name: np.concatenate([part[name] for part in filled]) for name in filled[0]}
        index, joined = columns["index"], Rows(columns, failures)
        return joined if np.all(index[:-1] <= index[1:]) else joined.take(np.argsort(index, kind="stable"))


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(identity: dict[str, Any]) -> str:
    """Sha256 (hex) of all that decides a run's numbers; ``identity`` says the schema version too."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def check_version(version: int, file: object) -> None:
    """Refuses what a newer version of this project wrote.

    Raises:
        StoreError: The file's schema is newer than `SCHEMA_VERSION`.
    """
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{file} has store schema {version}, this version reads up to {SCHEMA_VERSION}: "
            "pip install --upgrade image-attribution-pipeline"
        )
