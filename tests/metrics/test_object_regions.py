"""Boxes and masks of objects on the model's input, in each of their formats."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.preprocessing import Preprocessing
from pipeline.metrics.object_regions import input_mask, read_regions
from tests.metrics.annotations import COCO, CROP, PATH, XML
from tests.metrics.known_networks import SIZE


@pytest.fixture(params=["xml", "coco", "mask"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same object, rows 10 to 29 and columns 20 to 39, in each of the forms."""
    if request.param == "xml":
        (tmp_path / "n01").mkdir()
        (tmp_path / "n01" / "one.xml").write_text(XML)
        return tmp_path
    if request.param == "coco":
        (tmp_path / "boxes.json").write_text(json.dumps(COCO))
        return tmp_path / "boxes.json"
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "one.png")
    return tmp_path


def test_objects_come_to_the_models_input(source: Path) -> None:
    regions = read_regions(source).of(PATH)
    mask = input_mask(regions[:1], CROP, (SIZE, SIZE))
    rows = 4 + (np.arange(SIZE) + 0.5) * 32 / SIZE
    columns = 14 + (np.arange(SIZE) + 0.5) * 32 / SIZE
    expected = ((rows >= 10) & (rows < 30))[:, None] & ((columns >= 20) & (columns < 40))
    assert np.array_equal(mask.numpy(), expected) and mask.sum() == 15 * 15
    assert read_regions(source).of(Path("n01/two.jpg")) == []


def test_a_mask_follows_the_photograph_through_the_preprocessing(tmp_path: Path) -> None:
    """Of a photograph that is black but for its object, what is bright in the input lies in the object's mask."""
    picture = np.zeros((90, 130, 3), np.uint8)
    picture[30:70, 50:100] = 255
    Image.fromarray(picture).save(tmp_path / "one.png")
    for crop, resize in (((48, 48), 60), ((64, 100), None), ((120, 150), None)):
        pixels, box = Preprocessing(resize, crop, (0.5,) * 3, (0.5,) * 3)(Image.fromarray(picture))
        mask = input_mask(read_regions(tmp_path).of(PATH), tuple(box.tolist()), crop)
        assert (mask != (pixels[0] > 127)).float().mean() < 0.03 and mask.any()


def test_names_that_two_folders_share_are_distinguished(tmp_path: Path) -> None:
    for folder, shift in (("n01", 0), ("n03", 10)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.xml").write_text(XML.replace("<ymin>10", f"<ymin>{10 + shift}"))
    regions = read_regions(tmp_path)
    first, second = (
        input_mask(regions.of(Path(folder, "one.jpg"))[:1], CROP, (SIZE, SIZE)) for folder in ("n01", "n03")
    )
    assert first.sum() > second.sum() > 0
    assert regions.of(Path("n09/one.jpg")) == []
