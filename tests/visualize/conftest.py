"""A map and an image that are not square, so that a swapped axis shows."""

import numpy as np
import pytest
from PIL import Image

SIZE = (11, 17)  # height, width


@pytest.fixture
def map_() -> np.ndarray:
    return np.random.default_rng(0).standard_t(2, (3, *SIZE))


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8))
