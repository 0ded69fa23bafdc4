"""Figures equal stored ones. ``python -m tests.visualize.test_pictures`` stores new ones: check them by eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.visualize import COLOURS, Panel, draw

STORED = Path(__file__).parent / "pictures"
HEIGHT, WIDTH = 96, 128
ROW, COLUMN = np.mgrid[:HEIGHT, :WIDTH] // 4 * 4  # cells of 4 pixels: small files

FIGURES = {
    "heat_maps": (
        Panel("heat_map", "all", show_colorbar=True, title="all"),
        Panel("heat_map", "positive", show_colorbar=True, title="positive"),
        Panel("heat_map", "negative", show_colorbar=True, title="negative"),
        Panel("heat_map", "absolute_value", show_colorbar=True, title="absolute_value"),
    ),
    "captums_colours": (
        Panel("heat_map", "all", cmap="RdWhGn"),
        Panel("heat_map", "positive", cmap="WhBk"),
        Panel("heat_map", "positive", cmap="WhBu"),
    ),
    "over_the_image": (
        Panel("original_image", title="image"),
        Panel("blended_heat_map", "all", show_colorbar=True, title="blended"),
        Panel("overlay", title="overlay"),
    ),
    "through_the_image": (Panel("masked_image", "positive"), Panel("alpha_scaling", "negative")),
    "one_scale": (Panel("heat_map", "all", scale=2, show_colorbar=True), Panel("overlay", "positive", scale=2)),
}


def spot(row: float, column: float, size: float) -> np.ndarray:
    return np.exp(-((ROW - row) ** 2 + (COLUMN - column) ** 2) / (2 * size**2))


def scene() -> tuple[np.ndarray, Image.Image]:
    """A map with a positive spot at the upper left and a negative one at the lower right, and an image of two discs."""
    map_ = spot(30, 40, 12) - 0.7 * spot(66, 90, 9) + 0.1 * np.sin(ROW / 3) * np.cos(COLUMN / 4)
    pixels = np.stack([60 + ROW, 90 + COLUMN / 2, 200 - ROW - COLUMN / 4], axis=2)
    pixels[(ROW - 30) ** 2 + (COLUMN - 40) ** 2 < 400] = 230, 180, 60
    pixels[(ROW - 66) ** 2 + (COLUMN - 90) ** 2 < 250] = 40, 60, 150
    return map_, Image.fromarray(pixels.astype(np.uint8))


def is_stored(picture: Image.Image, name: str) -> bool:
    """True if at most one pixel in 200 differs by more than 8 of 255 levels: text varies with FreeType's version."""
    stored = np.asarray(Image.open(STORED / f"{name}.png").convert("RGB"), int)
    drawn = np.asarray(picture.convert("RGB"), int)
    return stored.shape == drawn.shape and bool((np.abs(stored - drawn).max(2) > 8).mean() <= 0.005)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_equal_stored_ones(name: str) -> None:
    assert is_stored(draw(*scene(), *FIGURES[name]), name)


@pytest.mark.parametrize("name", FIGURES)
def test_a_flipped_sign_a_shifted_map_or_another_scale_is_no_longer_the_figure(name: str) -> None:
    map_, image = scene()
    wrong = {
        "flipped": -map_,
        "shifted": np.roll(map_, 2, axis=1),
        "turned": map_[::-1, ::-1],
        "stronger": np.where(map_ > 0, 1.5, 1) * map_,
    }
    unnoticed = [fault for fault, other in wrong.items() if is_stored(draw(other, image, *FIGURES[name]), name)]
    assert unnoticed == (["stronger"] if name == "through_the_image" else [])  # it shows each sign on its own scale


def colourings(panel: Panel) -> list[Panel]:
    """The heat map in every other colour map."""
    own = draw(np.eye(8), Image.new("RGB", (8, 8)), panel).tobytes()
    others = [replace(panel, cmap=cmap) for cmap in COLOURS]
    return [other for other in others if draw(np.eye(8), Image.new("RGB", (8, 8)), other).tobytes() != own]


@pytest.mark.parametrize("name", ["heat_maps", "captums_colours", "over_the_image", "one_scale"])
def test_one_panel_in_other_colours_is_no_longer_the_figure(name: str) -> None:
    panels = FIGURES[name]
    for place, panel in enumerate(panels):
        if panel.method not in ("heat_map", "blended_heat_map"):
            continue
        others = colourings(panel)
        assert len(others) == len(COLOURS) - 1
        for other in others:
            assert not is_stored(draw(*scene(), *panels[:place], other, *panels[place + 1 :]), name)


if __name__ == "__main__":
    STORED.mkdir(exist_ok=True)
    for figure, panels in FIGURES.items():
        draw(*scene(), *panels).save(STORED / f"{figure}.png", optimize=True)
