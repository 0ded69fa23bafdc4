"""Image -> model input: resize, centre crop, normalise."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from pipeline.data.decode import UnreadableImage
from pipeline.errors import UsageError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
# Bounds the memory for one file: a strip of 1 x 60000 pixels would be resized to 256 x 15 million.
MAX_RESIZED_PIXELS = 2**28


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that a model expects; equal pixel for pixel to torchvision's ``ImageClassification`` preset.

    Attributes:
        resize: Length of the shorter side in pixels, or (height, width), or None for no resizing.
        crop: (height, width) of the centre crop, which is the model's input; a smaller image is padded with black.
        mean: Of each channel, for pixels in [0, 1].
        std: Of each channel, for pixels in [0, 1].
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``, with antialiasing.

    Raises:
        UsageError: A size that is not positive, an unknown interpolation, not three means and deviations.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        sides = [*self._resize_sides(), *self.crop]
        if len(self._resize_sides()) > 2 or len(self.crop) != 2 or min(sides) < 1:
            raise UsageError(f"resize={self.resize} crop={self.crop}, expected positive numbers of pixels")
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(f"interpolation={self.interpolation}, expected {', '.join(INTERPOLATIONS)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise UsageError(f"mean={self.mean} std={self.std}, expected three numbers each, std above 0")

    def __call__(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Resizes and crops one RGB image.

        Returns:
            Pixels, uint8 (3, H, W), and the crop, int32 (6,): height and width of the original, then top,
            left, bottom, right of the crop box in its pixels, rounded (outside of the image where padded).

        Raises:
            UnreadableImage: The image is so narrow that resizing it would exhaust the memory.
        """
        resized = self._resized(image)
        pixels = F.pil_to_tensor(F.center_crop(resized, list(self.crop)))
        return pixels, self._crop_box(image, resized)

    def normalize(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std for floating pixels (..., 3, H, W) in [0, 1]; same dtype and device."""
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (pixels - mean) / std

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Preprocessing":
        lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return cls(**(fields | lists))

    def _resize_sides(self) -> list[int]:
        if self.resize is None:
            return []
        return [self.resize] if isinstance(self.resize, int) else list(self.resize)

    def _resized(self, image: Image.Image) -> Image.Image:
        sides = self._resize_sides()
        if not sides:
            return image
        if len(sides) == 1 and sides[0] ** 2 * max(image.size) / min(image.size) > MAX_RESIZED_PIXELS:
            raise UnreadableImage(f"too narrow to resize: {image.width} x {image.height} pixels")
        resized: Image.Image = F.resize(image, sides, InterpolationMode(self.interpolation), antialias=True)
        return resized

    def _crop_box(self, image: Image.Image, resized: Image.Image) -> Tensor:
        box = []
        for axis, length in ((1, self.crop[0]), (0, self.crop[1])):
            space = resized.size[axis] - length
            # torchvision rounds half to even where it crops, and rounds the padding down
            start = round(space / 2) if space >= 0 else -(-space // 2)
            scale = image.size[axis] / resized.size[axis]
            box.append((round(start * scale), round((start + length) * scale)))
        (top, bottom), (left, right) = box
        return Tensor([image.height, image.width, top, left, bottom, right]).int()
