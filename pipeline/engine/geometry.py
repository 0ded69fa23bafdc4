"""Native geometry of a map: the shape that is computed and stored, and its expansion to the input's pixels."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.engine.activation_layout import channels_first
from pipeline.engine.occlusion_windows import Shape, Windows


class NotSpatial(ValueError):
    """A layer's units have no positions in the image."""


class Geometry(Protocol):
    """Shape of a map as methods compute it and the store keeps it, and its expansion to pixels."""

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the model's input."""

    @property
    def native_shape(self) -> tuple[int, ...]:
        """Shape of one stored map."""

    def reduce(self, maps: Tensor) -> Tensor:
        """Computed maps (n, ...) -> stored maps (n, *native_shape)."""

    def expand(self, native: Tensor) -> Tensor:
        """Stored maps (n, *native_shape) -> (n, C or 1, H, W) in pixels of the model's input."""

    def to_json(self) -> dict[str, Any]:
        """Return the form in which a shard stores it; :func:`from_json` reads it."""


@dataclass(frozen=True)
class Pixels:
    """Geometry of a map with a value for each input value, or with ``channels="sum"`` for each pixel.

    Attributes:
        shape: (C, H, W) of the model's input.
        channels: ``sum`` or ``keep``.
    """

    shape: Shape
    channels: str = "keep"

    @property
    def native_shape(self) -> Shape:
        return (1, *self.shape[1:]) if self.channels == "sum" else self.shape

    def reduce(self, maps: Tensor) -> Tensor:
        return maps.sum(1, keepdim=True) if self.channels == "sum" else maps

    def expand(self, native: Tensor) -> Tensor:
        return native

    def to_json(self) -> dict[str, Any]:
        return {"kind": "pixels", **asdict(self)}


@dataclass(frozen=True)
class Grid:
    """Geometry of a map with a value for each position of a layer's feature maps.

    Attributes:
        shape: (C, H, W) of the model's input.
        grid: (h, w) of the layer.
        interpolate_mode: ``nearest`` or ``bilinear`` (without aligned corners), applied when the map is expanded.
    """

    shape: Shape
    grid: tuple[int, int]
    interpolate_mode: str = "nearest"

    def __post_init__(self) -> None:
        if self.interpolate_mode not in ("nearest", "bilinear"):
            raise ValueError(f"interpolate_mode must be nearest or bilinear, not {self.interpolate_mode!r}")

    @property
    def native_shape(self) -> Shape:
        return (1, *self.grid)

    def reduce(self, maps: Tensor) -> Tensor:
        return maps

    def expand(self, native: Tensor) -> Tensor:
        """Interpolate stored maps (n, 1, h, w) to (n, 1, H, W)."""
        native = native.float() if native.dtype == torch.float16 else native
        return nn.functional.interpolate(native, self.shape[1:], mode=self.interpolate_mode)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "grid", **asdict(self)}


@dataclass(frozen=True)
class Units:
    """Geometry of a map with a value for each unit of a layer, or with ``channels="sum"`` for each of its positions.

    Attributes:
        shape: (C, H, W) of the model's input.
        layer: Shape of the layer's activation for an image: (K, h, w), (h, w, K), (tokens, K), or (K,) without
            positions.
        channels: ``sum`` or ``keep``; a layer without positions keeps its units.
    """

    shape: Shape
    layer: tuple[int, ...]
    channels: str = "keep"

    @property
    def native_shape(self) -> tuple[int, ...]:
        arranged = self._arranged()
        if self.channels == "keep" or arranged is None:
            return self.layer
        return (1, *arranged(torch.empty(1, *self.layer, device="meta")).shape[2:])

    def reduce(self, maps: Tensor) -> Tensor:
        arranged = self._arranged()
        return maps if self.channels == "keep" or arranged is None else arranged(maps).sum(1, keepdim=True)

    def expand(self, native: Tensor) -> Tensor:
        """Sum over channels; each pixel has the value of the layer's nearest position: (n, 1, H, W).

        Raises:
            NotSpatial: The layer's units have no positions in the image.
        """
        arranged = self._arranged()
        if arranged is None:
            raise NotSpatial(f"a layer of {self.layer} values has no positions in the image; read its map as .native")
        native = native.float() if native.dtype == torch.float16 else native
        grid = native if self.channels == "sum" else arranged(native).sum(1, keepdim=True)
        return nn.functional.interpolate(grid, self.shape[1:], mode="nearest")

    def to_json(self) -> dict[str, Any]:
        return {"kind": "units", **asdict(self)}

    def _arranged(self) -> Callable[[Tensor], Tensor] | None:
        """Return the function that brings the activation into the form (n, K, h, w); None without positions."""
        try:
            return channels_first((1, *self.layer), self.shape[1:])
        except ValueError:
            return None


_KINDS = {"pixels": Pixels, "windows": Windows, "grid": Grid, "units": Units}


def from_json(described: dict[str, Any]) -> Geometry:
    """Return the geometry that a shard's attribute describes.

    Raises:
        ValueError: If its kind is unknown to this version.
    """
    fields = {name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
              for name, value in described.items()}  # fmt: skip
    kind = fields.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"maps of geometry '{kind}' are unknown to this version; known: {', '.join(_KINDS)}")
    geometry: Geometry = _KINDS[kind](**fields)
    return geometry
