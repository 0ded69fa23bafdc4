"""A small finished run, written by the store's writer: photographs with unusual names, three classes, failures."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.geometry import from_json
from pipeline.errors import Failure
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer

HEIGHT, WIDTH = 24, 32
CLASS_NAMES = ["tabby", "<i>husky</i> & co", "jay"]
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2], np.int32)
PREDICTED = np.array([0, 0, 2, 1, 1, 1, 2, 2], np.int32)  # image 2 is wrong
NAMES = [
    b"a/1.png", b"a/<script>alert(1);.png", b"a/two\nlines.png", b"b/\xff.png", b"b/2.png", b"b/3.png",
    b"c/missing.png", b"c/broken.png",
]  # fmt: skip
FAILED = {7: "cannot be decoded: <b>bad</b>"}
ATTRIBUTES = {
    "method": "ig",
    "options": {"n_steps": 20, "baselines": 0},
    "target_option": "pred",
    "output": "logit",
    "dtype": "float32",
    "channels": "sum",
    "geometry": {"kind": "pixels", "shape": [3, HEIGHT, WIDTH], "channels": "sum"},
    "model": "TinyNet",
    "weights_sha256": "0123456789abcdef" * 4,
    "versions": {"torch": "2.9"},
}

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run; ``labels``, ``targets`` per image, published ``shards`` and ``attributes`` can be chosen."""

    def make(
        *,
        labels: np.ndarray = LABELS,
        targets: int = 1,
        shards: tuple[int, ...] = (0, 1, 2),
        attributes: Mapping[str, object] = MappingProxyType({}),
    ) -> Path:
        run = tmp_path / "run"
        attributes = {**ATTRIBUTES, **attributes}
        native_shape = from_json(attributes["geometry"]).native_shape
        manifest = freeze_manifest(run, _manifest(_photographs(tmp_path), labels))
        with Writer(run, manifest, attributes=attributes) as writer:
            for shard in shards:
                writer.add(_rows(np.arange(*manifest.range(shard)), labels, targets, native_shape))
        return run

    return make


def deltas(index: np.ndarray) -> np.ndarray:
    """Convergence deltas of images 0, 1, ...: 0, -0.1, 0.2, ..., and undefined for image 5."""
    return np.where(index == 5, np.nan, index / 10 * (-1.0) ** index).astype(np.float32)


def maps(index: np.ndarray) -> np.ndarray:
    """(n, 1, H, W) float32; image 0 has a map of zeros, image 1 one that lies on the border alone."""
    values = np.random.default_rng(0).standard_normal((len(LABELS), 1, HEIGHT, WIDTH)).astype(np.float32)
    values[0] = values[1] = 0
    values[1, 0, 0] = 1
    return values[index]


def _rows(index: np.ndarray, labels: np.ndarray, targets: int, native_shape: tuple[int, ...]) -> Rows:
    failures = [Failure(int(image), "read", FAILED[image]) for image in index.tolist() if image in FAILED]
    index = np.repeat([image for image in index.tolist() if image not in FAILED], targets).astype(np.int64)
    predicted, n = PREDICTED[index], len(index)
    prediction = np.zeros((n, 3), np.float32)
    prediction[np.arange(n), predicted] = np.log(2)  # a confidence of 2 / 4
    spatial = native_shape == (1, HEIGHT, WIDTH)
    attribution = maps(index) if spatial else np.ones((n, *native_shape), np.float32)
    columns = {
        "attribution": attribution,
        "scale": np.ones(n, np.float32),
        "index": index,
        "label": labels[index],
        "prediction": prediction,
        "features": np.empty((n, 0), np.float32),
        "predicted": predicted,
        "target": predicted,
        "score": np.full(n, 3, np.float32),
        "baseline_score": np.full(n, 1, np.float32),
        "convergence_delta": deltas(index),
        "error_estimate": np.where(index == 5, np.nan, index / 100).astype(np.float32),
        "evaluations": np.full(n, 21, np.int32),
        "crop": np.zeros((n, 6), np.int32),
    }
    return Rows(columns, failures)


def _manifest(root: Path, labels: np.ndarray) -> Manifest:
    return Manifest(
        root=os.fsencode(root),
        paths=ImagePaths.from_bytes(NAMES),
        label=labels,
        shards=np.array([0, 3, 6, 8]),
        identity={"method": "ig", "n_steps": 20},
        class_names=CLASS_NAMES,
        preprocessing=Preprocessing(HEIGHT, (HEIGHT, WIDTH), (0.5,) * 3, (0.5,) * 3).to_json(),
    )


def _photographs(folder: Path) -> Path:
    root = folder / "photographs"
    for number, name in enumerate(NAMES[:6]):
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (10 * number, 100, 50)).save(path)
    return root
