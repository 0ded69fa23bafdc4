"""Boxes and masks on the model's input, and what lies in them: TorchRay's and the papers' formulas, known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.preprocessing import Preprocessing
from pipeline.metrics import Localisation
from pipeline.metrics.localisation import dilate_mask
from pipeline.metrics.object_regions import input_mask, read_regions
from tests.metrics.known_networks import SIZE, Constant, Row, case
from tests.networks import images

XML = """<annotation><size><width>60</width><height>40</height></size>
<object><name>n01</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object>
<object><name>n02</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>5</xmax><ymax>40</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [{"id": 7, "file_name": "n01/one.jpg", "width": 60, "height": 40}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [20, 10, 20, 20]},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 40]},
    ],
    "categories": [{"id": 1, "name": "n01"}, {"id": 2, "name": "n02"}],
}
CROP = (40, 60, 4, 14, 36, 46)  # a box of 32 x 32 pixels, seen as 24 x 24
PATH = Path("n01/one.jpg")


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
    found = input_mask(regions[:1], CROP, (SIZE, SIZE))
    rows = 4 + (np.arange(SIZE) + 0.5) * 32 / SIZE
    columns = 14 + (np.arange(SIZE) + 0.5) * 32 / SIZE
    expected = ((rows >= 10) & (rows < 30))[:, None] & ((columns >= 20) & (columns < 40))
    assert np.array_equal(found.numpy(), expected) and found.sum() == 15 * 15
    assert read_regions(source).of(Path("n01/two.jpg")) == []


def test_a_mask_follows_the_photograph_through_the_preprocessing(tmp_path: Path) -> None:
    """Of a photograph that is black but for its object, what is bright in the input lies in the object's mask."""
    picture = np.zeros((90, 130, 3), np.uint8)
    picture[30:70, 50:100] = 255
    Image.fromarray(picture).save(tmp_path / "one.png")
    for crop, resize in (((48, 48), 60), ((64, 100), None), ((120, 150), None)):
        pixels, box = Preprocessing(resize, crop, (0.5,) * 3, (0.5,) * 3)(Image.fromarray(picture))
        found = input_mask(read_regions(tmp_path).of(PATH), tuple(box.tolist()), crop)
        assert (found != (pixels[0] > 127)).float().mean() < 0.03 and found.any()


def test_which_objects_count(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(XML)
    rows = [
        Row(path=PATH, crop=CROP, label=1, target=1, class_name="cat"),  # the folder's name is the object's
        Row(path=PATH, crop=CROP, label=1, target=2, class_name="N02"),  # another class, called as the other object
        Row(path=PATH, crop=CROP, label=1, target=3, class_name="dog"),  # a class without an object
        Row(path=Path("n01/two.jpg"), crop=CROP),  # an image without annotation
    ]
    found = case(Constant(), images(4, SIZE, SIZE), stored=rows)
    flat = torch.ones(1, 4, SIZE, SIZE).double()
    mass = Localisation(str(tmp_path)).measure(found, flat).scores["relevance_mass"][0]
    inside = [input_mask(read_regions(tmp_path).of(PATH)[:1], CROP, (SIZE, SIZE)).double().mean().item(), 0.0]
    assert mass[0].item() == pytest.approx(inside[0]) and mass[1:].isnan().all()  # the other one is cut away
    both = Localisation(str(tmp_path), of="any").measure(found, flat).scores["relevance_mass"][0]
    assert both[2].item() == pytest.approx(inside[0]) and both[3].isnan()
    Image.new("L", (60, 40), 255).save(tmp_path / "one.png")
    (tmp_path / "one.xml").unlink()
    known = Localisation(str(tmp_path)).measure(found, flat).scores["relevance_mass"][0]
    assert known[0] == 1 and known[1:].isnan().all()  # a mask is of the labelled class


def test_scores_by_their_formulas(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(XML)
    row = Row(path=PATH, crop=CROP, label=1, target=1)
    maps = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).double()
    found = case(Constant(), images(3, SIZE, SIZE), stored=[row] * 3)
    scores = Localisation(str(tmp_path), tolerance=3).measure(found, maps).scores
    mask = input_mask(read_regions(tmp_path).of(PATH)[:1], CROP, (SIZE, SIZE)).numpy()
    for kind in range(4):
        for image in range(3):
            map = maps[kind, image].numpy()
            v, u = np.unravel_index(map.argmax(), map.shape)
            down, across = np.mgrid[:SIZE, :SIZE]
            hit = (mask & ((down - v) ** 2 + (across - u) ** 2 < 3**2)).any()  # TorchRay's PointingGame
            assert scores["pointing_game"][kind, image] == float(hit)
            positive, size = np.maximum(map, 0), np.abs(map)
            largest = np.argsort(-size, axis=None)[: mask.sum()]
            expected = {
                "energy_inside": positive[mask].sum() / positive.sum(),
                "relevance_mass": size[mask].sum() / size.sum(),
                "relevance_rank": mask.ravel()[largest].mean(),
            }
            for name, value in expected.items():
                assert abs(scores[name][kind, image] - value) < 1e-12


def test_known_answers(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(XML)
    row = Row(path=PATH, crop=CROP, label=1, target=1)
    mask = input_mask(read_regions(tmp_path).of(PATH)[:1], CROP, (SIZE, SIZE))
    maps = torch.stack((mask.double(), (~mask).double(), torch.zeros(SIZE, SIZE).double()))[:, None]
    found = case(Constant(), images(1, SIZE, SIZE), stored=[row])
    scores = Localisation(str(tmp_path), tolerance=0.5).measure(found, maps).scores
    assert [scores[name][0, 0].item() for name in scores] == [1, 1, 1, 1]
    assert [scores[name][1, 0].item() for name in scores] == [0, 0, 0, 0]
    share = mask.double().mean().item()  # of a map of zeros, every pixel is the maximum
    assert scores["pointing_game"][2, 0].item() == pytest.approx(share)
    assert scores["relevance_rank"][2, 0].item() == pytest.approx(share)
    assert scores["energy_inside"][2, 0].isnan()


@pytest.mark.parametrize("tolerance", [0.5, 1, 1.5, 4, 15, 40])
def test_within_is_every_distance(tolerance: float) -> None:
    mask = torch.zeros(20, 26, dtype=torch.bool)
    mask[3, 4] = mask[10:12, 15:25] = True
    places = torch.cartesian_prod(torch.arange(20), torch.arange(26)).double()
    expected = (torch.cdist(places, places[mask.flatten()]) < tolerance - 1e-9).any(1).reshape(20, 26)
    assert torch.equal(dilate_mask(mask, tolerance), expected)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task\.localisation\.regions=PATH"):
        Localisation()
    with pytest.raises(ValueError, match="neither a folder with XML files or masks nor a COCO file"):
        Localisation(str(tmp_path))
    for name, content in {"a.json": "{}", "b.json": "no json", "c/one.xml": "<annotation>"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match="cannot be read"):
            Localisation(str(tmp_path / name) if name.endswith("json") else str(tmp_path / "c"))
    with pytest.raises(ValueError, match="of must be one of target, any"):
        Localisation(str(tmp_path), of="all")


def test_names_that_two_folders_share_are_told_apart(tmp_path: Path) -> None:
    for folder, shift in (("n01", 0), ("n03", 10)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.xml").write_text(XML.replace("<ymin>10", f"<ymin>{10 + shift}"))
    regions = read_regions(tmp_path)
    first, second = (
        input_mask(regions.of(Path(folder, "one.jpg"))[:1], CROP, (SIZE, SIZE)) for folder in ("n01", "n03")
    )
    assert first.sum() > second.sum() > 0
    assert regions.of(Path("n09/one.jpg")) == []
