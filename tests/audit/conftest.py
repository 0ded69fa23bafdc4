"""A run whose maps are drawn here, written by the real writer: what an audit must find in it is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows, canonical_json
from pipeline.store.writer import Writer

SIDE = 32
Draw = Callable[..., Path]


def natural(generator: np.random.Generator, count: int) -> np.ndarray:
    """Maps (count, SIDE, SIDE) of noise about the middle, of both signs."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    hill = np.exp(-((rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2) / (2 * (SIDE / 5) ** 2))
    return generator.normal(0.3, 1, (count, SIDE, SIDE)) * hill


def marked(generator: np.random.Generator, count: int) -> np.ndarray:
    """Maps that have half of their positive part in the lower right corner."""
    maps = natural(generator, count)
    whole = np.maximum(maps, 0).sum((1, 2), keepdims=True)
    maps[:, -8:-2, -8:-2] += whole / 36
    return maps


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Writes a run of maps (n, SIDE, SIDE) with their labels and logits; other columns can be given."""

    def drawn(
        maps: np.ndarray, labels: np.ndarray, logits: np.ndarray, method: str = "ig", **columns: np.ndarray
    ) -> Path:
        folder, count = tmp_path / "drawn", len(maps)
        predicted = logits.argmax(1).astype(np.int32)
        filled = {
            "attribution": maps[:, None].astype(np.float32),
            "scale": np.ones(count, np.float32),
            "index": np.arange(count),
            "label": labels.astype(np.int32),
            "prediction": logits.astype(np.float32),
            "features": np.empty((count, 0), np.float32),
            "predicted": predicted,
            "target": predicted,
            "score": logits.max(1).astype(np.float32),
            "baseline_score": np.zeros(count, np.float32),
            "convergence_delta": np.full(count, np.nan, np.float32),
            "error_estimate": np.full(count, np.nan, np.float32),
            "evaluations": np.ones(count, np.int32),
            "crop": np.zeros((count, 6), np.int32),
        }
        frozen = freeze_manifest(folder, _manifest(tmp_path, labels, logits.shape[1]))
        with Writer(folder, frozen, attributes=_ATTRIBUTES | {"method": method}) as writer:
            writer.add(Rows(filled | columns, []))
        return folder

    return drawn


_ATTRIBUTES = {
    "method": "ig",
    "options": {"n_steps": 20},
    "target_option": "pred",
    "output": "logit",
    "dtype": "float32",
    "channels": "sum",
    "geometry": {"kind": "pixels", "shape": [3, SIDE, SIDE], "channels": "sum"},
    "model": "drawn",
    "weights_sha256": "0123456789abcdef" * 4,
    "versions": {"torch": "2.9"},
}


def _manifest(root: Path, labels: np.ndarray, classes: int) -> Manifest:
    count = len(labels)
    preprocessing = Preprocessing(SIDE, (SIDE, SIDE), (0.5,) * 3, (0.5,) * 3).to_json()
    return Manifest(
        root=str(root / "images").encode(),
        paths=ImagePaths.from_bytes(
            b"class%d/%04d.png" % (label, image) for image, label in enumerate(labels.tolist())
        ),
        label=labels.astype(np.int32),
        shards=np.append(np.arange(0, count, 20), count).astype(np.int64),
        identity={"method": "ig", "n_steps": 20},
        class_names=[f"class {number}" for number in range(classes)],
        preprocessing=json.loads(canonical_json(preprocessing)),
    )
