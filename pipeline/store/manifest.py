"""The manifest: the frozen description of a run, with its images in order, its shards and the identity of its job.

It is published atomically before any work starts, and never changes. So all workers, on any machine and after any
restart, agree on which images a shard has.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.errors import StoreError, UsageError
from pipeline.models.output_space import OutputSpace
from pipeline.store import column_file
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import DAMAGED_FILE_ERRORS, open_dataset
from pipeline.store.manifest_pages import MappedPaths, page_digests
from pipeline.store.object_store import as_local_file
from pipeline.store.run_files import MANIFEST, convert_read_errors, require_regular_file
from pipeline.store.schema import SCHEMA_VERSION, canonical_json, check_version, fingerprint
from pipeline.system.remote import to_path

_JSON = ("identity", "class_names", "preprocessing")


@dataclass(frozen=True)
class Manifest:
    """Images, shards and job of a run; immutable, and the same for all workers.

    Attributes:
        root: Folder of the images, raw bytes.
        paths: Of the images, relative to the root; those of an opened manifest are lazy: memory-mapped from its file.
        label: Class of each image, -1 unknown, int32 (n,).
        shards: First image of each shard and, last, the number of images, int64 (s + 1,).
        identity: All that determines the stored numbers: method, options, weights, images, schema, ... (JSON).
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
        """Check dtypes and lengths of the arrays.

        Raises:
            ValueError: A dtype or a length is wrong, or the shards do not cover each image exactly once, in order.
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
    def output_space(self) -> OutputSpace:
        """Meaning of the model's outputs: predictions, probabilities, classes."""
        return OutputSpace(len(self.class_names), bool(self.identity.get("model.multi_label", False)))

    @property
    def n_shards(self) -> int:
        """Number of shards that the images are split into."""
        return len(self.shards) - 1

    def range(self, shard: int) -> tuple[int, int]:
        """First and past-the-end image of a shard."""
        return int(self.shards[shard]), int(self.shards[shard + 1])

    def is_of_shard(self, attributes: Mapping[str, Any], shard: int) -> bool:
        """Return whether the attributes of a file say that it is of this run and of this shard."""
        expected = (self.fingerprint, list(self.range(shard)))
        return (attributes.get("fingerprint"), attributes.get("image_range")) == expected

    def path(self, image: int) -> Path:
        """Full path of an image; for one in an archive, the archive's path and the name inside."""
        return to_path(os.fsdecode(self.root)) / os.fsdecode(self.paths[image])

    def labels(self, images: slice | Sequence[int]) -> np.ndarray:
        """Return the classes of some images, -1 unknown, int32.

        Raises:
            StoreError: The manifest is damaged at these images.
        """
        if isinstance(images, slice):
            first, end, _ = images.indices(len(self))
        else:
            first, end = min(images, default=0), max(images, default=-1) + 1
        self.paths.verify(first, end)
        labels: np.ndarray = self.label[images if isinstance(images, slice) else list(images)]
        return labels

    @classmethod
    def open(cls, run: Path) -> "Manifest":
        """Open a run's manifest; its paths and labels are lazy, read and checked page by page when they are used.

        Raises:
            UsageError: The folder is not a run's.
            StoreError: The manifest is damaged, or of a newer schema; also later, when a damaged page is used.
        """
        path = run / MANIFEST
        with convert_read_errors(path):
            if not path.exists():
                raise UsageError(f"{run} is not a run's folder: it has no {MANIFEST}")
        try:
            with as_local_file(require_regular_file(path, run)) as file:
                with convert_read_errors(path):
                    intact = column_file.is_intact(file)  # before HDF5 opens it: a flipped byte can hang HDF5
                if not intact:
                    raise StoreError(f"{path} is damaged: its content does not match its sha256")
                with h5py.File(file, "r", locking=False) as opened:
                    return cls._read(opened, path)
        except DAMAGED_FILE_ERRORS as error:
            raise StoreError(f"{path} is damaged: {error}") from error

    @classmethod
    def _read(cls, file: h5py.File, path: Path) -> "Manifest":
        check_version(int(file.attrs["schema_version"]), path)
        root, shards = open_dataset(file, "root", ("uint8",))[...], open_dataset(file, "shards", ("int64",))[...]
        label, offsets, blob = (
            column_file.memory_map(open_dataset(file, name, (dtype,)))
            for name, dtype in (("label", "int32"), ("offsets", "int64"), ("paths", "uint8"))
        )
        spans = column_file.memory_map(open_dataset(file, "spans", ("int64",))) if "spans" in file else None
        digests = open_dataset(file, "digests", ("uint8",))[...] if "digests" in file else None
        if len(offsets) != len(label) + 1 or (spans is not None and spans.shape != (len(label), 2)):
            raise ValueError("its columns are of different lengths")
        paths = MappedPaths(blob, offsets, spans, label, digests, str(path))
        stored = {name: json.loads(file.attrs[name]) for name in _JSON}
        manifest = cls(root=root.tobytes(), paths=paths, label=label, shards=shards, **stored)
        if manifest.fingerprint != file.attrs["fingerprint"]:
            raise ValueError("its content does not match its fingerprint")
        return manifest

    def encode(self) -> list[memoryview]:
        """Encode the file as consecutive pieces: a header with checksums, then the columns, which are not copied."""
        spans = {} if self.paths.spans is None else {"spans": self.paths.spans}
        large = {"label": self.label, "offsets": self.paths.offsets, **spans, "paths": self.paths.blob}
        small = {
            "root": np.frombuffer(self.root, np.uint8),
            "shards": self.shards,
            "digests": page_digests(self.paths, self.label),
        }
        attributes: dict[str, str | int] = {name: canonical_json(getattr(self, name)) for name in _JSON}
        attributes |= {"schema_version": SCHEMA_VERSION, "fingerprint": self.fingerprint}
        return column_file.encode_columns(small, large, attributes)


def freeze_manifest(run: Path, manifest: Manifest) -> Manifest:
    """Publish a run's manifest, unless the run has one; idempotent, and of several concurrent starts exactly one wins.

    Returns:
        The run's manifest. Its shards and its root are those of the first start.

    Raises:
        StoreError: The folder is of another job.
        DiskFull: The disk has no room for it.
    """
    if not (run / MANIFEST).exists():
        publish(manifest.encode(), run / MANIFEST)
    frozen = Manifest.open(run)
    # A run keeps the schema number of its first start: identities that differ in it alone are of the same run.
    identity = manifest.identity | {key: number for key, number in frozen.identity.items() if key == "schema"}
    if frozen.fingerprint != fingerprint(identity):
        raise StoreError(
            f"{run} is the folder of another job ({_differences(frozen.identity, identity)}): "
            "give another output_dir, or the options of this folder"
        )
    return frozen


def _differences(stored: dict[str, Any], requested: dict[str, Any]) -> str:
    old, new = _flatten(stored), _flatten(json.loads(canonical_json(requested)))
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    values = [(name, *(str(side.get(name, "absent"))[:60] for side in (old, new))) for name in names]
    return "; ".join(f"{name}: {before} in the folder, {now} requested" for name, before, now in values)


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves
