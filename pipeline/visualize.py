"""Map -> picture: Captum's pictures of an attribution map, with NumPy and Pillow alone.

A map is an array (H, W) or (C, H, W), whose channels are summed; an image is a Pillow image of the map's size. Captum's
``original_image`` is the image itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[np.float64]
SIGNS = ("all", "positive", "negative", "absolute_value")

# Evenly spaced anchors, lowest value first. All but Captum's RdWhGn are ColorBrewer's (colorbrewer2.org, Apache-2.0).
COLOURS = {
    "BuWhRd": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
    "RdWhGn": "ff0000 ffffff 008000",
    "Greens": "f7fcf5 e5f5e0 c7e9c0 a1d99b 74c476 41ab5d 238b45 006d2c 00441b",
    "Reds": "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d",
    "Blues": "f7fbff deebf7 c6dbef 9ecae1 6baed6 4292c6 2171b5 08519c 08306b",
}
HIGHLIGHT = "#ff6a00"  # none of the colours above: it says where, not for or against
# Captum's choice for each sign, but for "all": red and green look alike to one man in twelve.
_OF_SIGN = {"all": "BuWhRd", "positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}


def normalize(map: np.ndarray, *, sign: str = "all", outlier_perc: float = 2) -> Values:
    """Scale a map for the eye, as Captum's ``visualize_image_attr`` does.

    The values of the wanted sign are divided by the magnitude up to which they hold ``100 - outlier_perc`` percent of
    the map's total magnitude, and what lies above is clipped.

    Args:
        map: Attribution map, (H, W) or (C, H, W).
        sign: ``all``, ``positive``, ``negative`` or ``absolute_value``; ``negative`` gives magnitudes.
        outlier_perc: Percent of the total magnitude that may be clipped, in [0, 100].

    Returns:
        (H, W) float64 in [-1, 1] for ``all``, else in [0, 1]; zeros where there is nothing of that sign.

    Raises:
        ValueError: For another sign, percentage or shape.
    """
    if not 0 <= outlier_perc <= 100:
        raise ValueError(f"outlier_perc is a percentage, not {outlier_perc}")
    values = _signed(_channel_sum(map), sign)
    magnitudes = np.sort(np.abs(values), axis=None)
    total = np.cumsum(magnitudes)
    threshold = magnitudes[np.searchsorted(total, total[-1] * (1 - outlier_perc / 100))]
    if threshold == 0:
        return np.zeros_like(values)
    scaled: Values = np.clip(values / threshold, -1, 1)
    return scaled


def heat_map(map: np.ndarray, *, sign: str = "all", outlier_perc: float = 2, colours: str | None = None) -> Image.Image:
    """The map alone; ``colours`` is a name of `COLOURS`, by default the one for the sign."""
    return _paint(normalize(map, sign=sign, outlier_perc=outlier_perc), sign, colours)


def blended_heat_map(
    image: Image.Image, map: np.ndarray, alpha: float = 0.5, *, sign: str = "all", outlier_perc: float = 2
) -> Image.Image:
    """The heat map laid over the grey image, everywhere with the same opacity ``alpha``."""
    colours = heat_map(map, sign=sign, outlier_perc=outlier_perc)
    return Image.blend(_grey(_fitting(image, map)), colours, alpha)


def overlay(
    image: Image.Image, map: np.ndarray, alpha: float = 0.85, *, sign: str = "absolute_value", blur: float = 4
) -> Image.Image:
    """Where the map is strong, in one colour over the grey image; what does not matter stays a plain photograph.

    Args:
        image: Image of the map's size.
        map: Attribution map, (H, W) or (C, H, W).
        alpha: Opacity of the strongest places, in [0, 1].
        sign: ``absolute_value``, ``positive`` or ``negative``.
        blur: Standard deviation, in pixels, of the Gaussian that smooths the chosen values: attributions of single
            pixels are too fine, and too mixed in sign, to be seen over a photograph. 0 for none.

    Raises:
        ValueError: For sign ``all``, or if image and map differ in size.
    """
    opacity = Image.fromarray(np.uint8(_strength(map, sign, blur=blur) * alpha * 255))
    return Image.composite(Image.new("RGB", image.size, HIGHLIGHT), _grey(_fitting(image, map)), opacity)


def masked_image(
    image: Image.Image, map: np.ndarray, *, sign: str = "absolute_value", outlier_perc: float = 2
) -> Image.Image:
    """The image, darkened where the map is weak.

    Raises:
        ValueError: For sign ``all``, or if image and map differ in size.
    """
    values = _strength(map, sign, outlier_perc)
    return Image.fromarray(np.uint8(np.asarray(_fitting(image, map)) * values[:, :, None]))


def alpha_scaling(
    image: Image.Image, map: np.ndarray, *, sign: str = "absolute_value", outlier_perc: float = 2
) -> Image.Image:
    """The image (RGBA), transparent where the map is weak.

    Raises:
        ValueError: For sign ``all``, or if image and map differ in size.
    """
    opacity = Image.fromarray(np.uint8(_strength(map, sign, outlier_perc) * 255))
    picture = _fitting(image, map).copy()
    picture.putalpha(opacity)
    return picture


def grid(rows: Sequence[Sequence[Image.Image]], *, gap: int = 8, background: str = "white") -> Image.Image:
    """Rows of pictures of one size as one picture, ``gap`` pixels apart."""
    width, height = rows[0][0].size
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, len(rows) * (height + gap) - gap), background)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            corner = (x * (width + gap), y * (height + gap))
            sheet.paste(picture, corner, picture if picture.mode == "RGBA" else None)
    return sheet


def _channel_sum(map: np.ndarray) -> Values:
    if map.ndim not in (2, 3):
        raise ValueError(f"a map has the shape (H, W) or (C, H, W), not {map.shape}")
    values = map.astype(np.float64)
    return values.sum(0) if map.ndim == 3 else values


def _signed(values: Values, sign: str) -> Values:
    match sign:
        case "positive":
            return np.maximum(values, 0)
        case "negative":
            return np.maximum(-values, 0)
        case "absolute_value":
            return np.abs(values)
        case "all":
            return values
    raise ValueError(f"sign is one of {', '.join(SIGNS)}, not {sign!r}")


def _smooth(values: Values, blur: float) -> Values:
    """Gaussian smoothing, each axis a product with a matrix whose rows sum to one."""
    if blur == 0:
        return values
    down, right = (_gaussian(length, blur) for length in values.shape)
    return down @ values @ right.T


def _gaussian(length: int, blur: float) -> Values:
    place = np.arange(length)
    weights: Values = np.exp(-0.5 * ((place[:, None] - place) / blur) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights


def _paint(values: Values, sign: str, colours: str | None) -> Image.Image:
    name = _OF_SIGN[sign] if colours is None else colours
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in COLOURS[name].split()])
    places = np.linspace(-1 if sign == "all" else 0, 1, len(anchors))
    channels = [np.interp(values, places, channel) for channel in anchors.T]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def _strength(map: np.ndarray, sign: str, outlier_perc: float = 2, blur: float = 0) -> Values:
    if sign == "all":
        raise ValueError("strength has no sign: choose positive, negative or absolute_value")
    values = _smooth(_signed(_channel_sum(map), sign), blur)
    return normalize(values, sign="absolute_value", outlier_perc=outlier_perc)


def _grey(image: Image.Image) -> Image.Image:
    """The mean of the channels, as Captum has it, but without matplotlib's stretching to full contrast."""
    mean = np.asarray(image).mean(2).astype(np.uint8)
    return Image.fromarray(mean).convert("RGB")


def _fitting(image: Image.Image, map: np.ndarray) -> Image.Image:
    height, width = map.shape[-2:]
    if image.size != (width, height):
        raise ValueError(f"the image is {image.width} x {image.height} pixels, the map {width} x {height}")
    return image.convert("RGB")
