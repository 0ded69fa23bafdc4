"""Localisation scores: TorchRay's and the papers' formulas, known answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.metrics import Localisation
from pipeline.metrics.localisation import dilate_mask
from pipeline.metrics.object_regions import input_mask, read_regions
from tests.metrics.annotations import CROP, PATH, XML
from tests.metrics.known_networks import SIZE, Constant, Row, batch_of
from tests.networks import images


def test_which_objects_count(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(XML)
    rows = [
        Row(path=PATH, crop=CROP, label=1, target=1, class_name="cat"),  # the folder's name is the object's
        Row(path=PATH, crop=CROP, label=1, target=2, class_name="N02"),  # another class, called as the other object
        Row(path=PATH, crop=CROP, label=1, target=3, class_name="dog"),  # a class without an object
        Row(path=Path("n01/two.jpg"), crop=CROP),  # an image without annotation
    ]
    batch = batch_of(Constant(), images(4, SIZE, SIZE), stored=rows)
    flat = torch.ones(1, 4, SIZE, SIZE).double()
    mass = Localisation(str(tmp_path)).measure(batch, flat).scores["relevance_mass"][0]
    inside = [input_mask(read_regions(tmp_path).of(PATH)[:1], CROP, (SIZE, SIZE)).double().mean().item(), 0.0]
    assert mass[0].item() == pytest.approx(inside[0]) and mass[1:].isnan().all()  # the other one is cut away
    both = Localisation(str(tmp_path), of="any").measure(batch, flat).scores["relevance_mass"][0]
    assert both[2].item() == pytest.approx(inside[0]) and both[3].isnan()
    Image.new("L", (60, 40), 255).save(tmp_path / "one.png")
    (tmp_path / "one.xml").unlink()
    known = Localisation(str(tmp_path)).measure(batch, flat).scores["relevance_mass"][0]
    assert known[0] == 1 and known[1:].isnan().all()  # a mask is of the labelled class


def test_scores_by_their_formulas(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(XML)
    row = Row(path=PATH, crop=CROP, label=1, target=1)
    maps = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).double()
    batch = batch_of(Constant(), images(3, SIZE, SIZE), stored=[row] * 3)
    scores = Localisation(str(tmp_path), tolerance=3).measure(batch, maps).scores
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
    batch = batch_of(Constant(), images(1, SIZE, SIZE), stored=[row])
    scores = Localisation(str(tmp_path), tolerance=0.5).measure(batch, maps).scores
    assert [scores[name][0, 0].item() for name in scores] == [1, 1, 1, 1]
    assert [scores[name][1, 0].item() for name in scores] == [0, 0, 0, 0]
    share = mask.double().mean().item()  # of a map of zeros, every pixel is the maximum
    assert scores["pointing_game"][2, 0].item() == pytest.approx(share)
    assert scores["relevance_rank"][2, 0].item() == pytest.approx(share)
    assert scores["energy_inside"][2, 0].isnan()


@pytest.mark.parametrize("tolerance", [0.5, 1, 1.5, 4, 15, 40])
def test_dilation_is_by_every_distance(tolerance: float) -> None:
    mask = torch.zeros(20, 26, dtype=torch.bool)
    mask[3, 4] = mask[10:12, 15:25] = True
    places = torch.cartesian_prod(torch.arange(20), torch.arange(26)).double()
    expected = (torch.cdist(places, places[mask.flatten()]) < tolerance - 1e-9).any(1).reshape(20, 26)
    assert torch.equal(dilate_mask(mask, tolerance), expected)


def test_unreadable_regions_are_refused(tmp_path: Path) -> None:
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
