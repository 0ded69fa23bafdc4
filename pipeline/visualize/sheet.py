"""Sheet of pictures side by side, with titles and colour bars."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from pipeline.visualize.colours import apply_colour_map, lowest_value
from pipeline.visualize.panel import COLOURED, Panel, panels_of

GAP, TITLE, BAR, TICKS = 8, 24, 8, 18  # pixels
_LETTERS, _DIGITS = 14, 11  # height of text, pixels
_READABLE = 128  # narrower pictures are enlarged if there is text


def draw(map: ArrayLike, image: Image.Image | None = None, *panels: Panel, **options: Any) -> Image.Image:
    """Draw one picture of a map, or several side by side.

    Args:
        map: Attribution map, (H, W) or (C, H, W), whose channels are summed.
        image: The network's input, of the map's size; see `photograph`. Not needed for heat maps.
        panels: From left to right.
        options: Those of a single `Panel`, in place of panels.

    Raises:
        ValueError: For an impossible option, a missing image, or one whose size differs from the map's.
    """
    return row(map, image, panels_of(panels, options))


def row(map: ArrayLike, image: Image.Image | None, panels: Sequence[Panel]) -> Image.Image:
    """Draw panels side by side; if one has a title or a bar, all leave room for it."""
    pictures = [panel.picture(map, image) for panel in panels]
    title, bar = any(panel.title for panel in panels), any(panel.show_colorbar for panel in panels)
    if title or bar:
        pictures = [_readable(picture) for picture in pictures]
    framed = [_framed(*pair, title=title, bar=bar) for pair in zip(pictures, panels, strict=True)]
    for picture, panel in zip(framed, panels, strict=True):
        if panel.show_colorbar and panel.method in COLOURED:
            _draw_colour_bar(picture, panel, panel.scale or panel.threshold(map))
    return framed[0] if len(framed) == 1 else grid([framed])


def grid(rows: Sequence[Sequence[Image.Image]], *, gap: int = GAP, background: str = "white") -> Image.Image:
    """Arrange rows of pictures of one size in one picture, ``gap`` pixels apart."""
    width, height = rows[0][0].size
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, len(rows) * (height + gap) - gap), background)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            _paste(sheet, picture, (x * (width + gap), y * (height + gap)))
    return sheet


def _framed(picture: Image.Image, panel: Panel, *, title: bool, bar: bool) -> Image.Image:
    if not title and not bar:
        return picture
    above, below = (TITLE if title else 0), (GAP + BAR + TICKS if bar else 0)
    sheet = Image.new("RGB", (picture.width, above + picture.height + below), "white")
    _paste(sheet, picture, (0, above))
    if panel.title:
        font = ImageFont.load_default(_LETTERS)
        title_text = _shortened(_without_accents(panel.title), font, picture.width)
        ImageDraw.Draw(sheet).text((picture.width / 2, (above - 2) / 2), title_text, "black", font, anchor="mm")
    return sheet


def _draw_colour_bar(sheet: Image.Image, panel: Panel, scale: float) -> None:
    """Draw the bar at the bottom, and the values of its ends in the map's own units; of negative, 0 is on the left."""
    top = sheet.height - BAR - TICKS
    values = np.broadcast_to(np.linspace(lowest_value(panel.sign), 1, sheet.width), (BAR, sheet.width))
    sheet.paste(apply_colour_map(values, panel.sign, panel.cmap), (0, top))
    ends = {"all": (-scale, scale), "negative": (0, -scale)}.get(panel.sign, (0, scale))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_DIGITS)
    for value, x, anchor in zip((*ends, 0), (0, sheet.width, sheet.width / 2), ("la", "ra", "ma"), strict=True):
        if x in (0, sheet.width) or panel.sign == "all":
            pen.text((x, top + BAR + 3), f"{value + 0.0:.2g}", "black", font, anchor=anchor)  # + 0.0: no "-0"


def _without_accents(text: str) -> str:
    """Drop accents: Pillow's own font, the only one on every machine, lacks letters with them."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    return next(
        (cut for end in range(len(text) - 1, 0, -1) if font.getlength(cut := text[:end].rstrip() + "…") <= width), ""
    )


def _readable(picture: Image.Image) -> Image.Image:
    """Enlarge a picture that is narrower than text needs, by a whole factor."""
    times = -(-_READABLE // picture.width)  # rounded up
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _paste(sheet: Image.Image, picture: Image.Image, corner: tuple[int, int]) -> None:
    sheet.paste(picture, corner, picture if picture.mode == "RGBA" else None)
