"""A run with its photographs, written by the store's writer: 30 images, of which one failed, and known maps."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.geometry import from_json
from pipeline.errors import Failure
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows, canonical_json
from pipeline.store.writer import Writer

SIDE, COUNT, CLASSES, FAILED = 32, 30, 4, 5
SHAPE = [3, SIDE, SIDE]
SUMMED = {"kind": "pixels", "shape": SHAPE, "channels": "sum"}
KEPT = {"kind": "pixels", "shape": SHAPE, "channels": "keep"}
WINDOWS = {"kind": "windows", "shape": SHAPE, "window": [3, 8, 8], "strides": [3, 6, 6], "channels": "sum"}
FOLDERS = [b"n01440764", b"n01443537", b"zebra"]
NUMBERS = np.arange(COUNT)
LABELS = np.sort(np.where(NUMBERS < 4, 2, NUMBERS % 2)).astype(np.int32)  # 13, 13 and 4 images

WriteRun = Callable[..., Path]


def _maps(geometry: dict, targets: int) -> np.ndarray:
    """Native maps (COUNT, targets, ...) around the middle, in every third image around a corner."""
    shape = from_json(geometry).native_shape
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[: shape[1], : shape[2]] / (shape[1] - 1)
    middle, corner = (
        np.exp(-((rows - c) ** 2 + (columns - c) ** 2) * 20) for c in (0.5, 0.9)
    )  # Gaussians around (c, c)
    hills = np.where((NUMBERS % 3 == 0)[:, None, None], corner, middle)[:, None, None]
    return (generator.normal(0.4, 0.5, (COUNT, targets, *shape)) * hills).astype(np.float32) * 7


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 10 rows, so that an export has several, at other rows than the shards."""
    monkeypatch.setattr("pipeline.export.run_excerpt.ROWS", 10)
    monkeypatch.setattr("pipeline.export.zarr.ROWS", 10)


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes photographs and a run over them, with or without labels, with so many ``targets`` an image."""

    def written(
        geometry: dict = SUMMED,
        *,
        dtype: str = "float16",
        targets: int = 1,
        labelled: bool = True,
        target_option: str = "pred",
    ) -> Path:
        names = [FOLDERS[label] + b"/%04d.png" % image for image, label in enumerate(LABELS.tolist())]
        generator = np.random.default_rng(1)
        for name in names:
            path = tmp_path / "images" / name.decode()
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (36, 40, 3), np.uint8)).save(path)
        label = LABELS if labelled else np.full(COUNT, -1, np.int32)
        attributes = {"method": "ig", "options": {"n_steps": 20}, "target_option": target_option, "geometry": geometry}
        with Writer(tmp_path / "run", freeze_manifest(tmp_path / "run", _manifest(tmp_path, names, label)), attributes={
            **attributes, "model": "drawn", "weights_sha256": "0" * 64, "output": "logit", "dtype": "float32"
        }) as writer:  # fmt: skip
            writer.add(_rows(_maps(geometry, targets), label, dtype))
        return tmp_path / "run"

    return written


def _manifest(root: Path, names: list[bytes], label: np.ndarray) -> Manifest:
    preprocessing = Preprocessing(None, (SIDE, SIDE), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).to_json()
    return Manifest(
        root=str(root / "images").encode(),
        paths=ImagePaths.from_bytes(names),
        label=label,
        shards=np.array([0, 12, 24, COUNT]),
        identity={"method": "ig", "n_steps": 20},
        class_names=["tench", "goldfish", "zebra", "<b>&"],
        preprocessing=json.loads(canonical_json(preprocessing)),
    )


def _rows(maps: np.ndarray, label: np.ndarray, dtype: str) -> Rows:
    targets = maps.shape[1]
    index = np.repeat(np.delete(NUMBERS, FAILED), targets)
    flat = np.delete(maps, FAILED, 0).reshape(len(index), *maps.shape[2:])
    half = dtype == "float16"
    scale = np.abs(flat).max((1, 2, 3)) if half else np.ones(len(index), np.float32)
    prediction = np.random.default_rng(2).normal(size=(COUNT, CLASSES)).astype(np.float32)
    predicted = prediction.argmax(1).astype(np.int32)
    first = predicted[index].reshape(-1, targets) + np.arange(targets)
    nothing = np.full(len(index), np.nan, np.float32)
    columns = {
        "attribution": (flat / scale[:, None, None, None]).astype(dtype),
        "scale": scale.astype(np.float32),
        "index": index,
        "label": label[index],
        "prediction": prediction[index],
        "features": np.empty((len(index), 0), np.float32),
        "predicted": predicted[index],
        "target": (first % CLASSES).ravel().astype(np.int32),
        "score": prediction.max(1)[index],
        "baseline_score": np.zeros(len(index), np.float32),
        "convergence_delta": nothing,
        "error_estimate": nothing,
        "evaluations": np.full(len(index), 20, np.int32),
        "crop": np.tile(np.array([36, 40, 2, 4, 34, 36], np.int32), (len(index), 1)),
    }
    return Rows(columns, [Failure(FAILED, "read", "it is broken")])
