"""Maps become the pictures that Captum draws, except where Captum stops with an error."""

import numpy as np
import pytest
from PIL import Image

from pipeline import visualize
from pipeline.visualize import COLOURS, SIGNS, normalize

SIZE = (11, 17)  # height, width: not square, so that a swapped axis shows


@pytest.fixture
def map_() -> np.ndarray:
    return np.random.default_rng(0).standard_t(2, (3, *SIZE))


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8))


@pytest.mark.parametrize("outlier_perc", [0.5, 2, 50, 90])
@pytest.mark.parametrize("sign", SIGNS)
def test_normalize_equals_captum(map_: np.ndarray, sign: str, outlier_perc: float) -> None:
    captum = pytest.importorskip("captum.attr._utils.visualization")
    expected = captum._normalize_attr(map_.sum(0), sign, outlier_perc)
    scaled = normalize(map_, sign=sign, outlier_perc=outlier_perc)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_without_outliers_the_maximum_is_one(seed: int) -> None:
    """Captum's threshold then exceeds the sum now and then, by rounding, and it stops with an IndexError."""
    map_ = np.random.default_rng(seed).standard_t(2, SIZE)
    np.testing.assert_array_equal(normalize(map_, outlier_perc=0), map_ / np.abs(map_).max())


@pytest.mark.parametrize("sign", SIGNS)
def test_pictures_equal_captums(map_: np.ndarray, image: Image.Image, sign: str) -> None:
    """Drawn by matplotlib through Captum itself, from a table of 256 colours: two levels apart at most."""
    captum = pytest.importorskip("captum.attr._utils.visualization")
    colours = "RdWhGn" if sign == "all" else None
    pictures = {"heat_map": visualize.heat_map(map_, sign=sign, colours=colours)}
    if sign != "all":
        pictures["masked_image"] = visualize.masked_image(image, map_, sign=sign)
        pictures["alpha_scaling"] = visualize.alpha_scaling(image, map_, sign=sign)
    for method, picture in pictures.items():
        _, axes = captum.visualize_image_attr(
            map_.transpose(1, 2, 0), np.asarray(image), method, sign, use_pyplot=False
        )
        (drawn,) = axes.get_images()
        expected = drawn.to_rgba(drawn.get_array(), bytes=True)[..., : len(picture.getbands())]
        np.testing.assert_allclose(np.asarray(picture), expected, atol=2, rtol=0)


def test_blended_heat_map_is_half_grey_image_half_heat_map(map_: np.ndarray, image: Image.Image) -> None:
    grey = np.asarray(image).mean(2, keepdims=True)
    expected = (grey + np.asarray(visualize.heat_map(map_))) / 2
    np.testing.assert_allclose(visualize.blended_heat_map(image, map_), expected, atol=1)


def test_heat_map_sums_channels(map_: np.ndarray) -> None:
    assert visualize.heat_map(map_).tobytes() == visualize.heat_map(map_.sum(0)).tobytes()


@pytest.mark.parametrize("sign", SIGNS)
def test_a_map_of_zeros_gives_neutral_pictures(image: Image.Image, sign: str) -> None:
    """Captum stops with an AssertionError."""
    zeros = np.zeros((1, *SIZE), np.float32)
    neutral = np.asarray(visualize.heat_map(zeros, sign=sign))
    assert np.unique(neutral.reshape(-1, 3), axis=0).shape == (1, 3)
    grey = np.asarray(image).mean(2).astype(np.uint8)
    if sign != "all":
        assert np.array_equal(visualize.overlay(image, zeros, sign=sign), np.stack([grey] * 3, -1))


def test_the_middle_of_the_diverging_colours_is_neutral_and_its_ends_are_mirrored() -> None:
    ramp = np.asarray(visualize.heat_map(np.linspace(-1, 1, 101)[None], outlier_perc=0)).astype(int)[0]
    assert np.ptp(ramp[50]) == 0  # neither red nor blue
    lightness = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness[:51]) > 0).all() and (np.diff(lightness[50:]) < 0).all()
    assert ramp[-1][0] > ramp[-1][2] and ramp[0][2] > ramp[0][0]  # red is for, blue against


def test_overlay_tints_only_where_the_map_is_strong(image: Image.Image) -> None:
    map_ = np.zeros(SIZE)
    map_[3, 5] = 1
    grey = np.asarray(image).mean(2).astype(np.uint8)[:, :, None].repeat(3, 2)
    changed = (np.asarray(visualize.overlay(image, map_, blur=0)) != grey).any(2)
    assert np.argwhere(changed).tolist() == [[3, 5]]
    changed = (np.asarray(visualize.overlay(image, map_, blur=0.5)) != grey).any(2)
    assert 1 < changed.sum() < 50 and changed[2:5, 4:7].all()


def test_blur_keeps_a_constant_map() -> None:
    np.testing.assert_allclose(visualize._smooth(np.full(SIZE, 3.0), 2.5), 3.0, rtol=1e-12)


def test_grid_lays_rows_out_with_gaps(image: Image.Image) -> None:
    red, green = (Image.new("RGB", image.size, colour) for colour in ("red", "lime"))
    sheet = visualize.grid([[red, green], [green]], gap=3)
    width, height = image.size
    assert sheet.size == (2 * width + 3, 2 * height + 3)
    places = [(0, 0), (width + 3, 0), (0, height + 3), (width + 3, height + 3)]
    corners = [sheet.getpixel(place) for place in places]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 255, 0), (255, 255, 255)]


def test_what_cannot_be_drawn_is_refused(map_: np.ndarray, image: Image.Image) -> None:
    with pytest.raises(ValueError, match="sign is one of"):
        normalize(map_, sign="both")
    with pytest.raises(ValueError, match="percentage"):
        normalize(map_, outlier_perc=101)
    with pytest.raises(ValueError, match="shape"):
        normalize(np.zeros(4))
    with pytest.raises(ValueError, match="17 x 11 pixels, the map 11 x 17"):
        visualize.overlay(image, map_.transpose(0, 2, 1))
    for picture in (visualize.overlay, visualize.masked_image, visualize.alpha_scaling):
        with pytest.raises(ValueError, match="strength has no sign"):
            picture(image, map_, sign="all")


@pytest.mark.parametrize("colours", COLOURS)
def test_every_colour_map_runs_from_its_first_to_its_last_anchor(colours: str) -> None:
    sign = "all" if colours in ("BuWhRd", "RdWhGn") else "positive"
    ramp = np.linspace(-1 if sign == "all" else 0, 1, 5)[None]
    ends = np.asarray(visualize.heat_map(ramp, sign=sign, outlier_perc=0, colours=colours))[0, [0, -1]]
    assert [bytes(end).hex() for end in ends] == [COLOURS[colours].split()[place] for place in (0, -1)]
