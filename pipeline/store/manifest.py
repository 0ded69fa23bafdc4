"""The frozen list of a run's work: its images in order, its shards, and what job it is."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.errors import StoreError, UsageError
from pipeline.store import column_file
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import dataset
from pipeline.store.manifest_pages import MappedPaths, digests
from pipeline.store.object_store import local_copy
from pipeline.store.run_files import MANIFEST, plain_file, read_errors
from pipeline.store.schema import SCHEMA_VERSION, canonical_json, check_version, fingerprint
from pipeline.store.shard import DAMAGE
from pipeline.system.remote import locate

_JSON = ("identity", "class_names", "preprocessing")


@dataclass(frozen=True)
class Manifest:
    """What a run is about, the same for all its workers, for good.

    Attributes:
        root: Folder of the images, raw bytes.
        paths: Of the images, relative to the root; of an opened manifest on the disk until asked for.
        label: Class of each image, -1 unknown, int32 (n,).
        shards: First image of each shard and, last, the number of images, int64 (s + 1,).
        identity: All that decides the numbers: method, options, weights, images, schema, ... (JSON).
        class_names: Of the model's outputs.
        preprocessing: The preprocessing as JSON.
    """

    root: bytes
    paths: ImagePaths
    label: np.ndarray
    shards: np.ndarray
    identity: dict[str, Any]
    class_names: list[str]
    preprocessing: dict[str, Any]

    def __post_init__(self) -> None:
        """Holds the arrays against each other.

        Raises:
            ValueError: A dtype or a length is wrong, or the shards do not cover the images once and in order.
        """
        dtypes = (self.label.dtype.name, self.shards.dtype.name, self.paths.offsets.dtype.name)
        if dtypes != ("int32", "int64", "int64"):
            raise ValueError(f"label, shards and offsets must be int32, int64 and int64, not {dtypes}")
        ends = (self.shards[0], self.shards[-1])
        if len(self.label) != len(self.paths) or ends != (0, len(self)) or not np.all(np.diff(self.shards) > 0):
            sizes = f"{len(self.paths)} paths, {len(self)} labels"
            raise ValueError(f"{sizes} and shards that begin at {self.shards} do not agree")

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of the identity, hex."""
        return fingerprint(self.identity)

    @property
    def n_shards(self) -> int:
        """How many shards the images are dealt into."""
        return len(self.shards) - 1

    def range(self, shard: int) -> tuple[int, int]:
        """First and past-the-end image of a shard."""
        return int(self.shards[shard]), int(self.shards[shard + 1])

    def path(self, image: int) -> Path:
        """Full path of an image; of one in an archive the archive's, and its name there."""
        return locate(os.fsdecode(self.root)) / os.fsdecode(self.paths[image])

    def labels(self, images: slice | Sequence[int]) -> np.ndarray:
        """Classes of some images, -1 unknown, int32.

        Raises:
            StoreError: The manifest is damaged there.
        """
        if isinstance(images, slice):
            first, end, _ = images.indices(len(self))
        else:
            first, end = min(images, default=0), max(images, default=-1) + 1
        self.paths.check(first, end)
        found: np.ndarray = self.label[images if isinstance(images, slice) else list(images)]
        return found

    @classmethod
    def open(cls, run: Path) -> "Manifest":
        """Reads what a run's manifest says of all images; of paths and labels what is asked for, when it is.

        Raises:
            UsageError: The folder is no run's.
            StoreError: The manifest is damaged, or of a newer schema; also later, when damaged images are asked for.
        """
        path = run / MANIFEST
        with read_errors(path):
            if not path.exists():
                raise UsageError(f"{run} is no run's folder: it has no {MANIFEST}")
        try:
            with local_copy(plain_file(path, run)) as file:
                with read_errors(path):
                    whole = column_file.is_whole(file)  # before HDF5 sees it
                if not whole:
                    raise StoreError(f"{path} is damaged: its sha256 is not that of its content")
                with h5py.File(file, "r", locking=False) as opened:
                    return cls._read(opened, path)
        except DAMAGE as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    @classmethod
    def _read(cls, file: h5py.File, path: Path) -> "Manifest":
        check_version(int(file.attrs["schema_version"]), path)
        whole, numbers = dataset(file, "root", ("uint8",))[...], dataset(file, "shards", ("int64",))[...]
        label, offsets, blob = (
            column_file.mapped(dataset(file, name, (dtype,)))
            for name, dtype in (("label", "int32"), ("offsets", "int64"), ("paths", "uint8"))
        )
        spans = column_file.mapped(dataset(file, "spans", ("int64",))) if "spans" in file else None
        pages = dataset(file, "digests", ("uint8",))[...] if "digests" in file else None
        if len(offsets) != len(label) + 1 or (spans is not None and spans.shape != (len(label), 2)):
            raise ValueError("its columns are of different lengths")
        paths = MappedPaths(blob, offsets, spans, label, pages, str(path))
        stored = {name: json.loads(file.attrs[name]) for name in _JSON}
        manifest = cls(root=whole.tobytes(), paths=paths, label=label, shards=numbers, **stored)
        if manifest.fingerprint != file.attrs["fingerprint"]:
            raise ValueError("its fingerprint is not that of its content")
        return manifest

    def encode(self) -> list[memoryview]:
        """The bytes of the file, in pieces: what is small, with checksums, then the columns as they are."""
        spans = {} if self.paths.spans is None else {"spans": self.paths.spans}
        large = {"label": self.label, "offsets": self.paths.offsets, **spans, "paths": self.paths.blob}
        small = {
            "root": np.frombuffer(self.root, np.uint8),
            "shards": self.shards,
            "digests": digests(self.paths, self.label),
        }
        attributes: dict[str, str | int] = {name: canonical_json(getattr(self, name)) for name in _JSON}
        attributes |= {"schema_version": SCHEMA_VERSION, "fingerprint": self.fingerprint}
        return column_file.encode(small, large, attributes)


def freeze(run: Path, manifest: Manifest) -> Manifest:
    """Makes a manifest the run's, or finds that the run has one; of several starters one wins.

    Returns:
        The run's manifest. Its shards, and its root, are those of the first start.

    Raises:
        StoreError: The folder holds another job.
        DiskFull: There is no room for it.
    """
    if not (run / MANIFEST).exists():
        publish(manifest.encode(), run / MANIFEST)
    frozen = Manifest.open(run)
    if frozen.fingerprint != manifest.fingerprint:
        raise StoreError(
            f"{run} holds another job ({_differences(frozen.identity, manifest.identity)}): "
            "give another output_dir, or the options of the folder"
        )
    return frozen


def _differences(found: dict[str, Any], asked: dict[str, Any]) -> str:
    old, new = _flat(found), _flat(json.loads(canonical_json(asked)))
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    values = [(name, *(str(side.get(name, "absent"))[:60] for side in (old, new))) for name in names]
    return "; ".join(f"{name}: {before} in the folder, {now} asked" for name, before, now in values)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves
