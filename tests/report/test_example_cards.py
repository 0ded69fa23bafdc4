"""The card of an explanation: names, numbers and pictures, and the reason for each that is missing."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import open_run
from pipeline.report.example_cards import data_uri, example_card

from .conftest import CLASS_NAMES, HEIGHT, LABELS, WIDTH, MakeRun


def test_names_and_numbers_are_those_of_the_row(make_run: MakeRun) -> None:
    run = open_run(make_run())
    card = example_card(run[2], run.manifest, images=True)
    assert (card.label, card.predicted, card.target, card.correct) == ("tabby", "jay", "jay", False)
    assert card.path == "a/two\\nlines.png"
    assert (card.score, card.delta) == (3.0, pytest.approx(0.2))
    assert card.confidence == pytest.approx(0.5)
    assert (card.width, card.height) == (WIDTH, HEIGHT)
    assert [picture.alt for picture in card.pictures] == ["Photograph", "Attribution map", "Map over photograph"]


def test_an_undefined_delta_or_label_is_left_out(make_run: MakeRun) -> None:
    run = open_run(make_run(labels=np.full_like(LABELS, -1)))
    card = example_card(run[5], run.manifest, images=True)
    assert (card.delta, card.label, card.correct) == (None, None, None)
    assert card.predicted == CLASS_NAMES[1]


def test_without_images_the_photograph_is_not_opened(make_run: MakeRun, tmp_path: Path) -> None:
    run = open_run(make_run())
    (tmp_path / "photographs/a/1.png").write_bytes(b"damaged")
    (picture,) = example_card(run[0], run.manifest, images=False).pictures
    assert picture.alt == "Attribution map" and picture.uri is not None
    photograph, map_, overlay = example_card(run[0], run.manifest, images=True).pictures
    assert (photograph.uri, overlay.uri) == (None, None) and map_ == picture
    assert photograph.alt.startswith("No photograph: no image of a known format")


def test_a_map_without_a_place_in_the_image_is_missing_with_its_reason(make_run: MakeRun) -> None:
    geometry = {"kind": "units", "shape": [3, HEIGHT, WIDTH], "layer": [5], "channels": "keep"}
    run = open_run(make_run(attributes={"geometry": geometry}))
    (picture,) = example_card(run[0], run.manifest, images=True).pictures
    assert picture.uri is None and picture.alt.startswith("No map: a layer of (5,) values")


@pytest.mark.parametrize(("size", "shown"), [((800, 400), (384, 192)), ((30, 20), (30, 20))])
def test_pictures_are_embedded_no_larger_than_384_pixels(size: tuple[int, int], shown: tuple[int, int]) -> None:
    head, _, data = data_uri(Image.new("RGB", size), "png").partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == shown
