"""Panels equal the pictures that Captum draws, except where Captum stops with an error."""

import numpy as np
import pytest
from PIL import Image

from pipeline.visualize import SIGNS, Panel, draw
from pipeline.visualize.panel import without_image

from .conftest import SIZE


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image).mean(2).astype(np.uint8)[:, :, None].repeat(3, 2)


@pytest.mark.parametrize("sign", SIGNS)
def test_pictures_equal_captums(map_: np.ndarray, image: Image.Image, sign: str) -> None:
    """Drawn by matplotlib through Captum itself, from a table of 256 colours: two levels apart at most."""
    captum = pytest.importorskip("captum.attr._utils.visualization")
    methods = ("heat_map", "original_image", *(() if sign == "all" else ("masked_image", "alpha_scaling")))
    for method in methods:
        picture = draw(map_, image, method=method, sign=sign, cmap="RdWhGn" if sign == "all" else None)
        _, axes = captum.visualize_image_attr(
            map_.transpose(1, 2, 0), np.asarray(image), method, sign, use_pyplot=False
        )
        (drawn,) = axes.get_images()
        expected = drawn.to_rgba(drawn.get_array(), bytes=True)[..., : len(picture.getbands())]
        np.testing.assert_allclose(np.asarray(picture), expected, atol=2, rtol=0)


@pytest.mark.parametrize("alpha", [0.25, None])
def test_blended_heat_map_equals_captums(map_: np.ndarray, image: Image.Image, alpha: float | None) -> None:
    """The grey image has all levels from 0 to 255, for matplotlib would stretch its contrast to these."""
    captum = pytest.importorskip("captum.attr._utils.visualization")
    pixels = np.asarray(image).copy()
    pixels[0, 0], pixels[0, 1] = 0, 255
    share = 0.5 if alpha is None else alpha
    _, axes = captum.visualize_image_attr(
        map_.transpose(1, 2, 0), pixels, "blended_heat_map", "negative", alpha_overlay=share, use_pyplot=False
    )
    below, above = (drawn.to_rgba(drawn.get_array(), bytes=True)[..., :3].astype(float) for drawn in axes.get_images())
    picture = draw(map_, Image.fromarray(pixels), method="blended_heat_map", sign="negative", alpha_overlay=alpha)
    np.testing.assert_allclose(np.asarray(picture), below * (1 - share) + above * share, atol=3, rtol=0)


def test_defaults_and_their_order_are_captums() -> None:
    captum = pytest.importorskip("captum.attr._utils.visualization")
    import inspect

    theirs = inspect.signature(captum.visualize_image_attr).parameters
    panel = inspect.signature(Panel).parameters
    shared = [name for name in theirs if name in panel]
    assert shared == [name for name in panel if name in theirs] and len(shared) == len(panel) - 1  # scale is ours
    ours = {name: panel[name].default for name in shared} | {"alpha_overlay": 0.5}  # None: 0.5 for what Captum has
    assert ours == {name: theirs[name].default for name in shared}


def test_heat_map_sums_channels(map_: np.ndarray) -> None:
    assert draw(map_).tobytes() == draw(map_.sum(0)).tobytes()


@pytest.mark.parametrize("sign", SIGNS)
def test_a_map_of_zeros_gives_neutral_pictures(image: Image.Image, sign: str) -> None:
    """Captum stops with an AssertionError."""
    zeros = np.zeros((1, *SIZE), np.float32)
    neutral = np.asarray(draw(zeros, sign=sign, show_colorbar=True))[: SIZE[0]]
    assert np.unique(neutral.reshape(-1, 3), axis=0).shape == (1, 3)
    if sign != "all":
        assert np.array_equal(draw(zeros, image, method="overlay", sign=sign), grey(image))


def test_a_constant_map_gives_one_colour(image: Image.Image) -> None:
    ones = np.ones(SIZE)
    assert np.unique(np.asarray(draw(ones)).reshape(-1, 3), axis=0).tolist() == [[0x08, 0x30, 0x6B]]
    assert np.array_equal(draw(ones, image, method="masked_image"), image)


def test_overlay_tints_only_where_the_map_is_strong() -> None:
    map_, image = np.zeros((40, 112)), Image.new("RGB", (112, 40), "grey")
    map_[20, 50] = 1
    changed = (np.asarray(draw(map_, image, method="overlay")) != grey(image)).any(2)
    assert 20 < changed.sum() < 300 and changed[18:23, 48:53].all()
    assert not (np.asarray(draw(map_, image, method="overlay", sign="negative")) != grey(image)).any()


def test_a_layers_grid_is_spread_over_the_image() -> None:
    map_, image = np.zeros((2, 2, 3)), Image.new("RGB", (48, 32), "white")
    map_[1, 0, 2] = 1
    seen = np.asarray(draw(map_, image, method="masked_image"))[:, :, 0] == 255
    assert np.argwhere(seen).min(0).tolist() == [0, 32] and np.argwhere(seen).max(0).tolist() == [15, 47]
    assert seen.sum() == 256
    assert draw(map_, image, Panel("original_image"), Panel()).size == (2 * 48 + 8, 32)


def test_without_the_image_the_heat_maps_remain() -> None:
    heat = Panel("heat_map", "positive")
    assert without_image([Panel("original_image"), heat, Panel("overlay")]) == [heat]
    assert without_image([Panel("original_image"), Panel("overlay", "negative")]) == [Panel("heat_map", "negative")]


def test_impossible_options_are_refused(map_: np.ndarray, image: Image.Image) -> None:
    with pytest.raises(ValueError, match="the image is 17 x 11 pixels, the map 11 x 17"):
        draw(map_.transpose(0, 2, 1), image, method="overlay")
    with pytest.raises(ValueError, match="the image is 8 x 5 pixels"):
        draw(map_, image.resize((8, 5)))
    with pytest.raises(ValueError, match="masked_image needs the image"):
        draw(map_, method="masked_image")
    for method in ("overlay", "masked_image", "alpha_scaling"):
        with pytest.raises(ValueError, match=f"{method} has no sign"):
            Panel(method, "all")
    wrong = {"method": "picture", "sign": "both", "cmap": "jet", "outlier_perc": -1, "alpha_overlay": 2, "scale": 0}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"^{name} .*{value}"):
            Panel(**{name: value})
    with pytest.raises(ValueError, match="not both"):
        draw(map_, image, Panel(), sign="all")
