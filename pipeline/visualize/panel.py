"""One way to show a map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from pipeline.visualize.blur import blur
from pipeline.visualize.colours import COLOURS, HIGHLIGHT, paint
from pipeline.visualize.scale import SIGNS, Values, normalize, signed, threshold

# Captum's five, and where the map is strong, in one colour over the grey image.
METHODS = ("heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling", "overlay")
UNSIGNED = ("masked_image", "alpha_scaling", "overlay")
COLOURED = ("heat_map", "blended_heat_map")
_BLURS_IN_WIDTH = 56  # an overlay is smoothed by 4 pixels of 224


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
        alpha_overlay: Opacity of the map over the image; None: 0.5, and 0.85 for an overlay's strongest places.
        show_colorbar: Whether a bar below says which values a heat map's colours are.
        title: A line above.
        scale: The magnitude with the strongest colour, for several maps alike; None: the map's own ``threshold``.

    Raises:
        ValueError: For an option that cannot be.
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
        """Whether there is nothing to show without the image."""
        return self.method != "heat_map"

    def threshold(self, map: ArrayLike) -> float:
        """The magnitude with the strongest colour, were it not for ``scale``."""
        return threshold(self._shown(map), outlier_perc=self.outlier_perc)

    def picture(self, map: ArrayLike, image: Image.Image | None = None) -> Image.Image:
        """The picture alone, of the image's size, else the map's; RGBA from ``alpha_scaling``, else RGB.

        Raises:
            ValueError: If the map is neither of the image's size nor a coarse grid over it, or not finite.
        """
        values = normalize(self._shown(map), outlier_perc=self.outlier_perc, scale=self.scale)
        if image is not None:
            values = _over(values, *image.size)
        if self.method == "heat_map":
            return paint(values, self.sign, self.cmap)
        if image is None:
            raise ValueError(f"{self.method} needs the image")
        seen = image.convert("RGB")
        match self.method:
            case "blended_heat_map":
                return Image.blend(_grey(seen), paint(values, self.sign, self.cmap), self._alpha(0.5))
            case "overlay":
                colour = Image.new("RGB", seen.size, HIGHLIGHT)
                return Image.composite(colour, _grey(seen), _levels(values * self._alpha(0.85)))
            case "masked_image":
                return Image.fromarray(np.uint8(np.asarray(seen) * values[:, :, None]))
            case "alpha_scaling":
                seen.putalpha(_levels(values))
        return seen

    def _shown(self, map: ArrayLike) -> Values:
        values = signed(map, self.sign)
        return blur(values, values.shape[1] / _BLURS_IN_WIDTH) if self.method == "overlay" else values

    def _alpha(self, default: float) -> float:
        return default if self.alpha_overlay is None else self.alpha_overlay


def chosen(panels: Sequence[Panel], options: dict[str, Any]) -> Sequence[Panel]:
    """Several panels, or the one with these options.

    Raises:
        ValueError: For both, or an option that cannot be.
    """
    if panels and options:
        raise ValueError("give panels, or the options of one, not both")
    return panels or [Panel(**options)]


def without_image(panels: Sequence[Panel]) -> Sequence[Panel]:
    """What is left of panels without the image: the heat maps, or one in place of the last panel."""
    return [panel for panel in panels if not panel.needs_image] or [replace(panels[-1], method="heat_map")]


def _levels(values: Values) -> Image.Image:
    return Image.fromarray(np.uint8(values * 255))


def _grey(image: Image.Image) -> Image.Image:
    """The mean of the channels, as Captum has it, but without matplotlib's stretching to full contrast."""
    mean = np.asarray(image).mean(2).astype(np.uint8)
    return Image.fromarray(mean).convert("RGB")


def _over(values: Values, width: int, height: int) -> Values:
    """A map of the image's size, or the grid of a layer with each value repeated over the pixels of its cell."""
    rows, columns = values.shape
    if rows > height or columns > width or abs(rows / height - columns / width) * max(height, width) > 1:
        raise ValueError(f"the image is {width} x {height} pixels, the map {columns} x {rows}")
    over: Values = values[np.arange(height)[:, None] * rows // height, np.arange(width) * columns // width]
    return over
