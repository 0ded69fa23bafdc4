"""Colour maps: colours of normalised values."""

import numpy as np
from PIL import Image

from pipeline.visualize.scale import Values

# Evenly spaced anchors, lowest value first. RdWhGn is Captum's, WhBk and WhBu are those of its tutorials ("custom
# blue"); the others are ColorBrewer's (colorbrewer2.org, Apache-2.0).
COLOURS = {
    "BuWhRd": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
    "RdWhGn": "ff0000 ffffff 008000",
    "Greens": "f7fcf5 e5f5e0 c7e9c0 a1d99b 74c476 41ab5d 238b45 006d2c 00441b",
    "Reds": "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d",
    "Blues": "f7fbff deebf7 c6dbef 9ecae1 6baed6 4292c6 2171b5 08519c 08306b",
    "WhBk": "ffffff 000000 000000 000000 000000",
    "WhBu": "ffffff 0000ff 0000ff 0000ff 0000ff",
}
HIGHLIGHT = "#ff6a00"  # of overlays; unlike all colours above, for it marks a place and not a sign
# Captum's choice for each sign, but for "all": one man in twelve cannot distinguish red from green.
OF_SIGN = {"all": "BuWhRd", "positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}


def lowest_value(sign: str) -> int:
    """Return the normalised value of the first colour, -1 or 0; that of the last is 1."""
    return -1 if sign == "all" else 0


def apply_colour_map(values: Values, sign: str, cmap: str | None = None) -> Image.Image:
    """Paint normalised values (H, W) in the colours of ``cmap``, or of their sign's colour map."""
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in COLOURS[cmap or OF_SIGN[sign]].split()])
    positions = np.linspace(lowest_value(sign), 1, len(anchors))
    channels = [np.interp(values, positions, channel) for channel in anchors.T]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
