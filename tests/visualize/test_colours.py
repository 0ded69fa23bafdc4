"""Colour maps are Captum's and its tutorials'; the default can be read by the red-green colour-blind."""

import numpy as np
import pytest

from pipeline.visualize import COLOURS
from pipeline.visualize.colours import apply_colour_map

# Linear RGB as a deuteranope sees it: Machado, Oliveira and Fernandes 2009, table 1, severity 1.0.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
LUMINANCE = [0.2126, 0.7152, 0.0722]


def ramp(cmap: str) -> np.ndarray:
    """(101, 3) levels from the lowest to the highest value."""
    sign = "all" if cmap in ("BuWhRd", "RdWhGn") else "positive"
    values = np.linspace(-1 if sign == "all" else 0, 1, 101)
    return np.asarray(apply_colour_map(values[None], sign, cmap))[0].astype(float)


def linear(levels: np.ndarray) -> np.ndarray:
    shares = levels / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("cmap", COLOURS)
def test_every_colour_map_runs_from_its_first_to_its_last_anchor(cmap: str) -> None:
    ends = ramp(cmap)[[0, -1]].astype(np.uint8)
    assert [bytes(end).hex() for end in ends] == [COLOURS[cmap].split()[place] for place in (0, -1)]


@pytest.mark.parametrize("end", ["#000000", "#0000ff"])
def test_the_tutorials_colours_equal_matplotlibs(end: str) -> None:
    colours = pytest.importorskip("matplotlib.colors")
    anchors = [(0, "#ffffff"), (0.25, end), (1, end)]
    expected = colours.LinearSegmentedColormap.from_list("custom blue", anchors, N=256)(np.linspace(0, 1, 101))
    ours = ramp("WhBk" if end == "#000000" else "WhBu")
    np.testing.assert_allclose(ours, expected[:, :3] * 255, atol=4)  # its 256 colours are 4 levels apart


def test_the_default_is_neutral_in_the_middle_and_mirrored() -> None:
    levels = ramp("BuWhRd")
    assert np.ptp(levels[50]) == 0  # neither red nor blue
    lightness = levels @ LUMINANCE
    assert (np.diff(lightness[:51]) > 0).all() and (np.diff(lightness[50:]) < 0).all()
    assert levels[-1][0] > levels[-1][2] and levels[0][2] > levels[0][0]  # red is for, blue against


def opposites(cmap: str) -> np.ndarray:
    """Distance in chromaticity of a value and its opposite, as a deuteranope sees them."""
    seen = linear(ramp(cmap)) @ DEUTERANOPIA.T
    seen /= seen.sum(1, keepdims=True)  # chromaticity
    return np.linalg.norm(seen[:50] - seen[:50:-1], axis=1)


def test_for_and_against_differ_without_red_and_green() -> None:
    strong = slice(0, 25)  # the stronger half of both signs
    assert opposites("BuWhRd")[strong].min() > 0.25
    assert opposites("RdWhGn")[strong].min() < opposites("BuWhRd")[strong].min() / 4


@pytest.mark.parametrize("cmap", ["Greens", "Reds", "Blues", "WhBk"])
def test_colours_of_one_sign_darken_steadily(cmap: str) -> None:
    """They can be read without any colour at all."""
    steps = np.diff(linear(ramp(cmap)) @ LUMINANCE)
    assert (steps <= 0).all() and (steps[:25] < 0).all()
