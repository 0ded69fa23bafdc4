"""A synthetic run without a model: rows that are a function of (image, target), and a writer that can be killed.

As a script: ``python -m tests.store.synthetic RUN [SECONDS]`` writes all remaining shards of RUN, with pauses.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import Failure
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows, canonical_json
from pipeline.store.writer import Writer

N_IMAGES, N_CLASSES, SHAPE = 50, 5, (1, 6, 8)
GEOMETRY = {"kind": "pixels", "shape": [3, *SHAPE[1:]], "channels": "sum"}
ATTRIBUTES = {"method": "ig", "options": {"n_steps": 50}, "geometry": GEOMETRY, "model": "synthetic"}
FAILED = {3, 7, 20, 21, 22, 23, 24}  # one in five; a whole shard if shards have five images


def manifest(shard_size: int = 10, *, root: bytes = b"/data", n_steps: int = 50) -> Manifest:
    names = (b"class%d/image%04d.png" % (image % N_CLASSES, image) for image in range(N_IMAGES))
    return Manifest(
        root=root,
        paths=ImagePaths.from_bytes(names),
        label=np.arange(N_IMAGES, dtype=np.int32) % N_CLASSES,
        shards=np.append(np.arange(0, N_IMAGES, shard_size), N_IMAGES).astype(np.int64),
        identity={"method": "ig", "n_steps": n_steps, "schema": 1, "preprocessing": {"crop": [6, 8]}},
        class_names=[f"class {number}" for number in range(N_CLASSES)],
        preprocessing=json.loads(canonical_json(Preprocessing(15, (6, 8), (0.5,) * 3, (0.5,) * 3).to_json())),
    )


def maps(image: int, targets: int) -> np.ndarray:
    """The true maps of an image, (targets, *SHAPE) float32; image 0 has zero maps."""
    return np.random.default_rng(image).normal(size=(targets, *SHAPE)).astype(np.float32) * image


def rows(images, *, targets: int = 1, dtype: str = "float16", failed=FAILED) -> Rows:
    """Rows of these images, as the pipeline gives them to the writer."""
    explained = [image for image in images if image not in failed]
    failures = [Failure(image, "read", f"image {image} is broken") for image in images if image in failed]
    if not explained:
        return Rows({}, failures)
    true = np.concatenate([maps(image, targets) for image in explained])
    largest = np.abs(true).max((1, 2, 3))
    scale = np.where((largest > 0) & (dtype == "float16"), largest, 1).astype(np.float32)
    index = np.repeat(np.array(explained, np.int64), targets)
    prediction = np.stack([np.random.default_rng(image).normal(size=N_CLASSES) for image in index])
    columns = {
        "attribution": (true / scale[:, None, None, None]).astype(dtype),
        "scale": scale,
        "index": index,
        "label": (index % N_CLASSES).astype(np.int32),
        "prediction": prediction.astype(np.float32),
        "features": np.empty((len(index), 0), np.float32),
        "predicted": prediction.argmax(1).astype(np.int32),
        "target": np.tile(np.arange(targets, dtype=np.int32)[::-1], len(explained)),
        "score": index.astype(np.float32),
        "baseline_score": np.full(len(index), 0.5, np.float32),
        "convergence_delta": np.where(index % 2, index / 100, np.nan).astype(np.float32),
        "error_estimate": np.where(index % 2, index / 1000, np.nan).astype(np.float32),
        "evaluations": np.full(len(index), 50, np.int32),
        "crop": np.tile(np.array([12, 16, 0, 0, 12, 16], np.int32), (len(index), 1)),
    }
    return Rows(columns, failures)


def write(run: Path, *, shard_size: int = 10, batch: int = 4, pause: float = 0, **options) -> None:
    """Compute all remaining images of a run, in batches across shards, as the pipeline does."""
    frozen = freeze_manifest(run, manifest(shard_size))
    with Writer(run, frozen, attributes=ATTRIBUTES, checkpoint_seconds=0.02) as writer:
        shards = Ledger(run, frozen).pending()
        left = np.concatenate([np.empty(0, np.int64), *(writer.restore(shard) for shard in shards)])
        for start in range(0, len(left), batch):
            writer.add(rows(left[start : start + batch].tolist(), **options))
            time.sleep(pause)


def contents(run: Path) -> dict[str, bytes]:
    """Read all files below ``shards``, by relative path."""
    files = {}
    for path in (run / "shards").rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # other processes may be at work
            files[str(path.relative_to(run))] = path.read_bytes()
    return files


if __name__ == "__main__":
    write(Path(sys.argv[1]), pause=float(sys.argv[2]) if len(sys.argv) > 2 else 0)
