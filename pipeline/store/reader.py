"""A run as one lazy, indexable array of explanations."""

import operator
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from pipeline.errors import Failure
from pipeline.models.class_names import class_number
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import Manifest
from pipeline.store.notebook_html import html_summary
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.store.text_columns import text_columns
from pipeline.system.remote import absolute


@dataclass(frozen=True)
class RowFilter:
    """A condition on rows; a field that is None accepts all.

    Attributes:
        label: Class by the folder.
        correct: Whether the prediction is the label; images without a label match neither value.
        image: Number of the image.
        target: Class explained.
    """

    label: int | None = None
    correct: bool | None = None
    image: int | None = None
    target: int | None = None

    def may_match(self, manifest: Manifest, shard: int) -> bool:
        """Return False if the manifest alone shows that no row of a shard matches; the shard is then not opened."""
        first, end = manifest.range(shard)
        if self.image is not None and not first <= self.image < end:
            return False
        return self.label is None or bool(np.any(manifest.labels(slice(first, end)) == self.label))

    def mask(self, reader: ShardReader, shard: int) -> np.ndarray:
        """Mask of the rows of a shard that match, bool (n,)."""
        matching = np.ones(len(reader.column(shard, "index")), bool)
        for name, value in (("label", self.label), ("index", self.image), ("target", self.target)):
            if value is not None:
                matching &= reader.column(shard, name) == value
        if self.correct is not None:
            label = reader.column(shard, "label")
            matching &= ((reader.column(shard, "predicted") == label) == self.correct) & (label >= 0)
        return matching


class Run:
    """The published explanations of a run, or a selection, ordered by (image, position of the target).

    Lazy: the length needs the shards' summaries only, and a map is read from its shard when it is accessed.

    Args:
        reader: Reader of the run's shards.
        conditions: Conditions of the selection; a row must match all of them.
    """

    def __init__(self, reader: ShardReader, conditions: tuple[RowFilter, ...] = ()) -> None:
        self._reader = reader
        self._conditions = conditions
        self._selected: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: SupportsIndex) -> Explanation:
        position, length = operator.index(number), len(self)
        if not -length <= position < length:
            raise IndexError(f"explanation {position} of {length}")
        position %= length
        order = int(np.searchsorted(self._ends, position, side="right"))  # which of self._shards it is in
        rows = self._rows(self._shards[order])
        from_end = position - self._ends[order]  # negative: counted from the shard's last row
        return Explanation(self._reader, self._shards[order], int(rows[from_end]))

    def __iter__(self) -> Iterator[Explanation]:
        for shard in self._shards:
            for row in self._rows(shard).tolist():
                yield Explanation(self._reader, shard, row)

    def _repr_html_(self) -> str:
        """HTML summary for a notebook."""
        return html_summary(self)

    @property
    def reader(self) -> ShardReader:
        """Reader of the run's shards."""
        return self._reader

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._reader.run

    @property
    def manifest(self) -> Manifest:
        """All images of the run, explained or not, and the class names."""
        return self._reader.manifest

    @property
    def attributes(self) -> dict[str, Any]:
        """Method, options, geometry, model, weights, versions, ... as the shards have them.

        Raises:
            StoreError: No shard is published yet.
        """
        return self._reader.attributes

    def where(
        self,
        *,
        label: int | str | None = None,
        correct: bool | None = None,
        path: str | bytes | Path | None = None,
        target: int | str | None = None,
    ) -> "Run":
        """Select the explanations that match all given conditions; lazy, nothing is read before it is needed.

        Args:
            label: Class by the folder, number or name; -1 for images without a label.
            correct: Whether the prediction is the label; images without a label match neither value.
            path: Path of one image, relative to the data's root or to the working folder, or absolute.
            target: Class explained, number or name; -1 for a hidden neuron.

        Raises:
            ValueError: No image of the run has this path, or no class this name or number.
        """
        image = None if path is None else self._image(os.fsencode(path))
        label, target = (
            None if wanted is None else class_number(self.manifest.class_names, wanted, option)
            for option, wanted in (("label", label), ("target", target))
        )
        return Run(self._reader, (*self._conditions, RowFilter(label, correct, image, target)))

    def table(self) -> dict[str, np.ndarray]:
        """Read all columns but the maps, each (n, ...), and the texts that belong to them.

        Returns:
            The store's columns by name; then ``path``, as text, and ``label_name``, ``target_name`` and
            ``predicted_name``, which are empty where there is no label, or no class is explained.
        """
        names = [name for name in COLUMNS if name != "attribution"]
        selection = list(self.rows_by_shard())
        columns = {
            name: np.concatenate([self._reader.read(shard, name)[rows] for shard, rows in selection])
            if selection
            else COLUMNS[name].empty()
            for name in names
        }
        return columns | text_columns(self.manifest, columns)

    def rows_by_shard(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each shard that has some of the explanations, with the numbers of their rows in it."""
        return ((shard, rows) for shard in self._shards if len(rows := self._rows(shard)))

    def failures(self) -> Iterator[Failure]:
        """Yield all images of the run that could not be explained, whatever the selection."""
        for shard in self._reader.shards:
            yield from self._reader.failures(shard)

    @cached_property
    def _shards(self) -> list[int]:
        return [
            shard
            for shard in self._reader.shards
            if all(condition.may_match(self.manifest, shard) for condition in self._conditions)
        ]

    @cached_property
    def _ends(self) -> np.ndarray:
        """Number of selected rows up to the end of each shard, cumulative."""
        return np.cumsum([len(self._rows(shard)) for shard in self._shards], dtype=np.int64)

    def _rows(self, shard: int) -> np.ndarray:
        """Numbers of the selected rows of a shard."""
        if not self._conditions:
            return np.arange(self._reader.count(shard))
        if shard not in self._selected:
            masks = [condition.mask(self._reader, shard) for condition in self._conditions]
            self._selected[shard] = np.flatnonzero(np.logical_and.reduce(masks))
        return self._selected[shard]

    def _image(self, path: bytes) -> int:
        root, full = (os.fsencode(absolute(os.fsdecode(name))) for name in (self.manifest.root, path))
        for relative in (path, full.removeprefix(root + b"/")):
            forms = (os.fsencode(unicodedata.normalize(form, os.fsdecode(relative))) for form in ("NFC", "NFD"))
            for name in dict.fromkeys((relative, *forms)):
                image = self.manifest.paths.find(name)
                if image is not None:
                    return image
        raise ValueError(f"{os.fsdecode(path)} is not an image of {self.folder}")
