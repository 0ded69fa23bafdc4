"""Pictures side by side, their titles and colour bars."""

import numpy as np
from PIL import Image

from pipeline.visualize import Panel, draw, grid
from pipeline.visualize.sheet import BAR, GAP, TICKS, TITLE


def test_grid_lays_rows_out_with_gaps(image: Image.Image) -> None:
    red, green = (Image.new("RGB", image.size, colour) for colour in ("red", "lime"))
    sheet = grid([[red, green], [green]], gap=3)
    width, height = image.size
    assert sheet.size == (2 * width + 3, 2 * height + 3)
    places = [(0, 0), (width + 3, 0), (0, height + 3), (width + 3, height + 3)]
    corners = [sheet.getpixel(place) for place in places]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 255, 0), (255, 255, 255)]


def test_panels_are_aligned_whatever_is_above_and_below() -> None:
    map_ = np.ones((140, 150))
    sheet = draw(map_, None, Panel(title="a"), Panel(show_colorbar=True), Panel(title="a", show_colorbar=True))
    assert sheet.size == (3 * 150 + 2 * GAP, TITLE + 140 + GAP + BAR + TICKS)
    pixels, blue = np.asarray(sheet), (0x08, 0x30, 0x6B)
    strong = (pixels == blue).all(2)[TITLE : TITLE + 140]
    assert strong[:, :150].all() and strong[:, 158:308].all() and not strong[:, 150:158].any()
    above, below = (pixels != 255).any(2)[:TITLE], (pixels != 255).any(2)[TITLE + 140 :]
    assert [bool(part[:, start : start + 150].any()) for part in (above, below) for start in (0, 158, 316)] == [
        *(True, False, True),
        *(False, True, True),
    ]
    assert np.array_equal(above[:, :150], above[:, 316:])


def test_the_bar_runs_through_the_colours_and_its_ends_are_the_maps_values() -> None:
    map_ = np.full((140, 150), 0.25)
    sheets = {sign: draw(map_, sign=sign, show_colorbar=True) for sign in ("all", "positive")}
    bar = np.asarray(sheets["all"])[140 + GAP]
    assert [bytes(bar[place]).hex() for place in (0, -1)] == ["053061", "67001f"]
    half = {sign: draw(map_ / 2, sign=sign, show_colorbar=True) for sign in sheets}
    for sign, sheet in sheets.items():
        same = np.asarray(sheet) == np.asarray(half[sign])
        assert same[:-TICKS].all() and not same[-TICKS:].all()  # only the numbers below differ
    comparable = draw(map_ / 2, sign="positive", show_colorbar=True, scale=0.25)
    assert np.array_equal(np.asarray(comparable)[-TICKS:], np.asarray(sheets["positive"])[-TICKS:])
    assert not np.array_equal(np.asarray(comparable)[:140], np.asarray(sheets["positive"])[:140])


def test_a_long_title_is_cut_and_a_foreign_one_is_drawn() -> None:
    map_ = np.zeros((140, 150))
    long = np.asarray(draw(map_, title="a name that no picture of this width has room for"))[:TITLE]
    assert (long[:, :2] == 255).all() or (long[:, -2:] == 255).all()
    assert draw(map_, title="écureuil").tobytes() == draw(map_, title="ecureuil").tobytes()


def test_small_pictures_are_enlarged_where_there_is_text(image: Image.Image, map_: np.ndarray) -> None:
    plain, titled = draw(map_, image, method="masked_image"), draw(map_, image, method="masked_image", title="a")
    assert plain.size == (17, 11) and titled.size == (17 * 8, 11 * 8 + TITLE)
    assert np.array_equal(np.asarray(titled)[TITLE::8, ::8], plain)


def test_transparent_places_are_white_on_a_sheet(image: Image.Image) -> None:
    zeros = np.zeros(image.size[::-1])
    assert draw(zeros, image, method="alpha_scaling").mode == "RGBA"
    sheet = np.asarray(draw(zeros, image, Panel("alpha_scaling"), Panel("original_image")))
    assert (sheet[:, :17] == 255).all() and np.array_equal(sheet[:, 25:], image)
