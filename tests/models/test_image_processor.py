"""Image processors of transformers against the preprocessing that is read from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.models.image_processor import preprocessing_of

transformers = pytest.importorskip("transformers")

EDGE, SQUARE = {"shortest_edge": 37}, {"height": 32, "width": 32}
PROCESSORS = {
    "ViT": {"size": SQUARE},
    "DeiT": {"size": {"height": 37, "width": 37}, "crop_size": SQUARE},
    "Bit": {"size": EDGE, "crop_size": {"height": 31, "width": 33}},
    "CLIP": {"size": EDGE, "crop_size": SQUARE, "do_normalize": False},
    "ConvNext": {"size": {"shortest_edge": 32}, "crop_pct": 0.875},
    "Beit": {"size": SQUARE, "resample": 1},
}
Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """An image processor as the loader gets it: saved, and loaded in its PIL variant."""

    def loaded(name: str, **options: object) -> Any:
        getattr(transformers, f"{name}ImageProcessor")(**options).save_pretrained(tmp_path)
        return transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")

    return loaded


@pytest.mark.parametrize("name", PROCESSORS)
def test_preprocessing_is_that_of_the_image_processor(load: Load, name: str) -> None:
    processor = load(name, **PROCESSORS[name])
    preprocessing = preprocessing_of(processor, "net")
    for height, width in ((80, 50), (40, 96), (37, 37)):
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
        expected = processor(picture, return_tensors="pt")["pixel_values"][0]
        pixels = preprocessing.normalize(preprocessing(picture)[0] / 255)
        assert pixels.shape == expected.shape
        # a centre between two pixels is rounded up by one and down by the other
        shifts = [(i, j) for i in (0, -1, 1) for j in (0, -1, 1)]
        assert min((pixels.roll(by, (1, 2)) - expected)[:, 1:-1, 1:-1].abs().max() for by in shifts) < 1e-5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("MobileViT", {"size": EDGE, "crop_size": SQUARE}, "MobileViTImageProcessor does more to an image"),  # BGR
        ("Levit", {"size": {"shortest_edge": 32}, "crop_size": SQUARE}, "LevitImageProcessor does more"),
        ("ViT", {"size": SQUARE, "rescale_factor": 1 / 127.5}, r"does not scale pixels to \[0, 1\]"),
        ("ViT", {"size": SQUARE, "do_rescale": False}, r"does not scale pixels to \[0, 1\]"),
        ("ViT", {"size": SQUARE, "resample": 4}, "PIL's filter 4"),
        ("Bit", {"size": EDGE, "do_center_crop": False}, "images of any shape"),
        ("ViT", {"size": {"shortest_edge": 32, "longest_edge": 64}}, "resizes to .*longest_edge"),
    ],
)
def test_a_preprocessing_that_cannot_be_expressed_is_refused(
    load: Load, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=f"net: .*{message}"):
        preprocessing_of(load(name, **options), "net")
