"""Panel: one picture of a map, with its options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from pipeline.visualize.blur import blur
from pipeline.visualize.colours import COLOURS, HIGHLIGHT, apply_colour_map
from pipeline.visualize.scale import SIGNS, Values, normalize, threshold, values_of_sign

# Captum's five, and the overlay: strong values of the map in one colour over the grey image.
METHODS = ("heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling", "overlay")
UNSIGNED = ("masked_image", "alpha_scaling", "overlay")
COLOURED = ("heat_map", "blended_heat_map")
_BLURS_IN_WIDTH = 56  # an overlay is blurred with a standard deviation of 4 pixels of 224


@dataclass(frozen=True)
class Panel:
    """A picture of a map; options have the names and defaults of Captum's ``visualize_image_attr``.

    Attributes:
        method: ``heat_map``, the map alone; ``blended_heat_map``, over the grey image; ``original_image``;
            ``masked_image``, darkened where the map is weak; ``alpha_scaling``, transparent there; ``overlay``, the
            grey image, tinted where the map is strong.
        sign: ``positive``, ``negative``, ``absolute_value``, or ``all`` for the heat maps.
        outlier_perc: Percent of the total magnitude that may be clipped.
        cmap: A name of `COLOURS` for the heat maps; None: the one for the sign.
        alpha_overlay: Opacity of the map over the image; None: 0.5, and 0.85 for an overlay's strongest values.
        show_colorbar: Draw a bar below with the values of a heat map's colours.
        title: A line above.
        scale: Magnitude of the strongest colour, for several maps alike; None: the map's own ``threshold``.

    Raises:
        ValueError: For an unknown or impossible option.
    """

    method: str = "heat_map"
    sign: str = "absolute_value"
    outlier_perc: float = 2
    cmap: str | None = None
    alpha_overlay: float | None = None
    show_colorbar: bool = False
    title: str | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("sign", self.sign, SIGNS),
            ("cmap", self.cmap or "Blues", COLOURS),
        ):
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")
        if self.method in UNSIGNED and self.sign == "all":
            raise ValueError(f"{self.method} has no sign: choose positive, negative or absolute_value")
        if not 0 <= self.outlier_perc <= 100:
            raise ValueError(f"outlier_perc is a percentage, not {self.outlier_perc}")
        if self.alpha_overlay is not None and not 0 <= self.alpha_overlay <= 1:
            raise ValueError(f"alpha_overlay goes from 0 to 1, not {self.alpha_overlay}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale is a magnitude above 0, not {self.scale}")

    @property
    def needs_image(self) -> bool:
        """True if the panel cannot be drawn without the image."""
        return self.method != "heat_map"

    def threshold(self, map: ArrayLike) -> float:
        """Return the magnitude of the strongest colour without ``scale``."""
        return threshold(self._shown(map), outlier_perc=self.outlier_perc)

    def picture(self, map: ArrayLike, image: Image.Image | None = None) -> Image.Image:
        """Draw the picture without title and bar, of the image's size, else the map's.

        Returns:
            RGBA for ``alpha_scaling``, else RGB.

        Raises:
            ValueError: If the map is neither of the image's size nor a coarse grid over it, or not finite.
        """
        values = normalize(self._shown(map), outlier_perc=self.outlier_perc, scale=self.scale)
        if image is not None:
            values = _over(values, *image.size)
        if self.method == "heat_map":
            return apply_colour_map(values, self.sign, self.cmap)
        if image is None:
            raise ValueError(f"{self.method} needs the image: give it, or choose heat_map")
        picture = image.convert("RGB")
        match self.method:
            case "blended_heat_map":
                return Image.blend(_grey(picture), apply_colour_map(values, self.sign, self.cmap), self._alpha(0.5))
            case "overlay":
                colour = Image.new("RGB", picture.size, HIGHLIGHT)
                return Image.composite(colour, _grey(picture), _levels(values * self._alpha(0.85)))
            case "masked_image":
                return Image.fromarray(np.uint8(np.asarray(picture) * values[:, :, None]))
            case "alpha_scaling":
                picture.putalpha(_levels(values))
        return picture

    def _shown(self, map: ArrayLike) -> Values:
        values = values_of_sign(map, self.sign)
        return blur(values, values.shape[1] / _BLURS_IN_WIDTH) if self.method == "overlay" else values

    def _alpha(self, default: float) -> float:
        return default if self.alpha_overlay is None else self.alpha_overlay


def panels_of(panels: Sequence[Panel], options: dict[str, Any]) -> Sequence[Panel]:
    """Return the panels, or else the one with these options.

    Raises:
        ValueError: For both, or an unknown or impossible option.
    """
    if panels and options:
        raise ValueError("give panels, or the options of one, not both")
    return panels or [Panel(**options)]


def without_image(panels: Sequence[Panel]) -> Sequence[Panel]:
    """Return the panels that can be drawn without the image: the heat maps, or one in place of the last panel."""
    return [panel for panel in panels if not panel.needs_image] or [replace(panels[-1], method="heat_map")]


def _levels(values: Values) -> Image.Image:
    return Image.fromarray(np.uint8(values * 255))


def _grey(image: Image.Image) -> Image.Image:
    """Average the channels, as Captum does, but without matplotlib's stretching to full contrast."""
    mean = np.asarray(image).mean(2).astype(np.uint8)
    return Image.fromarray(mean).convert("RGB")


def _over(values: Values, width: int, height: int) -> Values:
    """Return a map of the image's size: itself, or a layer's grid with each value repeated over its cell's pixels."""
    rows, columns = values.shape
    # another shape of the sides, by more than a pixel, is another crop and not a coarser grid
    if rows > height or columns > width or abs(rows / height - columns / width) * max(height, width) > 1:
        raise ValueError(
            f"the image is {width} x {height} pixels, the map {columns} x {rows}: give the image that was explained"
        )
    over: Values = values[np.arange(height)[:, None] * rows // height, np.arange(width) * columns // width]
    return over
