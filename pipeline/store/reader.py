"""A run as one lazy, indexable array of explanations."""

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from pipeline.errors import Failure
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import Manifest
from pipeline.store.notebook import html
from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader
from pipeline.system.remote import absolute


@dataclass(frozen=True)
class RowFilter:
    """Which rows are wanted; None admits all.

    Attributes:
        label: Class by the folder.
        correct: Whether the prediction is the label; images without a label are neither.
        image: Number of the image.
        target: Class explained.
    """

    label: int | None = None
    correct: bool | None = None
    image: int | None = None
    target: int | None = None

    def admits_shard(self, manifest: Manifest, shard: int) -> bool:
        """Whether a shard can hold such rows, by the manifest alone."""
        first, end = manifest.range(shard)
        if self.image is not None and not first <= self.image < end:
            return False
        return self.label is None or bool(np.any(manifest.labels(slice(first, end)) == self.label))

    def rows(self, source: ShardReader, shard: int) -> np.ndarray:
        """Which rows of a shard are wanted, bool (n,)."""
        wanted = np.ones(len(source.column(shard, "index")), bool)
        for name, value in (("label", self.label), ("index", self.image), ("target", self.target)):
            if value is not None:
                wanted &= source.column(shard, name) == value
        if self.correct is not None:
            label = source.column(shard, "label")
            wanted &= ((source.column(shard, "predicted") == label) == self.correct) & (label >= 0)
        return wanted


class Run:
    """The published explanations of a run, or some of them, ordered by (image, position of the target).

    Args:
        source: The run's shards.
        conditions: All of them must hold.
    """

    def __init__(self, source: ShardReader, conditions: tuple[RowFilter, ...] = ()) -> None:
        self._source = source
        self._conditions = conditions
        self._selected: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: SupportsIndex) -> Explanation:
        wanted, length = operator.index(number), len(self)
        if not -length <= wanted < length:
            raise IndexError(f"explanation {wanted} of {length}")
        wanted %= length
        place = int(np.searchsorted(self._ends, wanted, side="right"))
        rows = self._rows(self._shards[place])
        from_its_end = wanted - self._ends[place]
        return Explanation(self._source, self._shards[place], int(rows[from_its_end]))

    def __iter__(self) -> Iterator[Explanation]:
        for shard in self._shards:
            for row in self._rows(shard).tolist():
                yield Explanation(self._source, shard, row)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html(self)

    @property
    def source(self) -> ShardReader:
        """The run's shards."""
        return self._source

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._source.run

    @property
    def manifest(self) -> Manifest:
        """All images of the run, explained or not, and the class names."""
        return self._source.manifest

    @property
    def attributes(self) -> dict[str, Any]:
        """Method, options, geometry, model, weights, versions, ... as the shards have them.

        Raises:
            StoreError: No shard is published yet.
        """
        return self._source.attributes

    def where(
        self,
        *,
        label: int | None = None,
        correct: bool | None = None,
        path: str | bytes | Path | None = None,
        target: int | None = None,
    ) -> "Run":
        """Those explanations for which all that is given holds; nothing is read before they are.

        Args:
            label: Class by the folder.
            correct: Whether the prediction is the label; images without a label are left out.
            path: Of one image, relative to the data's root or to the working folder, or absolute.
            target: Class explained.

        Raises:
            ValueError: No image of the run has this path.
        """
        image = None if path is None else self._image(os.fsencode(path))
        return Run(self._source, (*self._conditions, RowFilter(label, correct, image, target)))

    def table(self) -> dict[str, np.ndarray]:
        """All columns but the maps, each (n, ...), under the names of the store."""
        names = [name for name in COLUMNS if name != "attribution"]
        places = list(self.places())
        if not places:
            return {name: COLUMNS[name].empty() for name in names}
        return {
            name: np.concatenate([self._source.read(shard, name)[rows] for shard, rows in places]) for name in names
        }

    def places(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each shard that has some of the explanations, with the numbers of their rows there."""
        return ((shard, rows) for shard in self._shards if len(rows := self._rows(shard)))

    def failures(self) -> Iterator[Failure]:
        """All images of the run that could not be explained, whatever is selected here."""
        for shard in self._source.shards:
            yield from self._source.failures(shard)

    @cached_property
    def _shards(self) -> list[int]:
        return [
            shard
            for shard in self._source.shards
            if all(condition.admits_shard(self.manifest, shard) for condition in self._conditions)
        ]

    @cached_property
    def _ends(self) -> np.ndarray:
        """How many rows there are up to the end of each shard."""
        return np.cumsum([len(self._rows(shard)) for shard in self._shards], dtype=np.int64)

    def _rows(self, shard: int) -> np.ndarray:
        """Numbers of the selected rows of a shard."""
        if not self._conditions:
            return np.arange(self._source.count(shard))
        if shard not in self._selected:
            wanted = [condition.rows(self._source, shard) for condition in self._conditions]
            self._selected[shard] = np.flatnonzero(np.logical_and.reduce(wanted))
        return self._selected[shard]

    def _image(self, path: bytes) -> int:
        root, full = (os.fsencode(absolute(os.fsdecode(name))) for name in (self.manifest.root, path))
        for relative in (path, full.removeprefix(root + b"/")):
            image = self.manifest.paths.find(relative)
            if image is not None:
                return image
        raise ValueError(f"{os.fsdecode(path)} is no image of {self.folder}")
