"""Baselines: the input that means "absent"."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageColor
from torch import Tensor
from torchvision.transforms import functional

from pipeline.data.decode import UnreadableImage, read_image
from pipeline.data.preprocessing import Preprocessing

BaselineLike = float | str | Sequence[float] | Tensor
Baselines = Callable[[Tensor, Tensor], Tensor]
"""Preprocessed images (N, C, H, W) and their seeds (N,) -> baselines (1, C, H, W) or (N, C, H, W)."""

BLUR = 1 / 20
"""Standard deviation of the ``blur`` baseline, as a share of the image's shorter side."""


def baselines_of(description: BaselineLike, preprocessing: Preprocessing | None) -> Baselines:
    """Build the baselines that the option ``baselines`` describes.

    * ``zero`` or a number: that value in the model's input (0 is the mean colour of the training data);
    * ``black``, ``white``, ``#rrggbb`` or [red, green, blue] in 0..255: that colour;
    * ``mean``: each image's own mean colour; ``blur``: the image blurred;
    * ``noise``: uniform over the colours, drawn from the image's seed;
    * a path: that picture, preprocessed like the images;
    * a tensor (1, C, H, W) or (N, C, H, W): unchanged.

    Args:
        description: One of the above.
        preprocessing: The model's own; needed for colours, noise and files.

    Raises:
        ValueError: If the description is none of these, or needs a preprocessing that is not given.
    """
    if isinstance(description, Tensor):
        return partial(_tensor, description)
    if isinstance(description, int | float):
        return partial(_constant, float(description))
    if isinstance(description, str) and description in _FROM_THE_IMAGE:
        return _FROM_THE_IMAGE[description]
    if preprocessing is None:
        raise ValueError(f"baselines: {description!r} needs the model's colours: give View(model, preprocessing=...)")
    if description == "noise":
        return partial(_noise, preprocessing)
    return partial(_tensor, _picture(description, preprocessing))


def _constant(value: float, images: Tensor, _seeds: Tensor) -> Tensor:
    return torch.full_like(images[:1], value)


def _mean(images: Tensor, _seeds: Tensor) -> Tensor:
    return images.mean((2, 3), keepdim=True).expand_as(images)


def _blur(images: Tensor, _seeds: Tensor) -> Tensor:
    sigma = BLUR * min(images.shape[2:])  # pixels
    kernel_size = 2 * round(3 * sigma) + 1  # up to three standard deviations from the centre
    blurred: Tensor = functional.gaussian_blur(images, [kernel_size] * 2, [sigma, sigma])
    return blurred


_FROM_THE_IMAGE: dict[str, Baselines] = {"zero": partial(_constant, 0.0), "mean": _mean, "blur": _blur}
NAMES = (*_FROM_THE_IMAGE, "black", "white", "noise")


def _noise(preprocessing: Preprocessing, images: Tensor, seeds: Tensor) -> Tensor:
    # drawn on the CPU: a GPU's generator gives other numbers for the same seed
    pixels = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return preprocessing.normalize(torch.stack(pixels).to(images))


def _tensor(baselines: Tensor, images: Tensor, _seeds: Tensor) -> Tensor:
    if baselines.shape[1:] != images.shape[1:] or len(baselines) not in (1, len(images)):
        raise ValueError(f"baselines: {tuple(baselines.shape)} does not fit images of {tuple(images.shape)}")
    return baselines.to(images)


def _picture(description: str | Sequence[float], preprocessing: Preprocessing) -> Tensor:
    """Preprocess a colour or a picture file like an image, float64 (1, C, H, W)."""
    if isinstance(description, str) and Path(description).is_file():
        try:
            image = read_image(description)
        except UnreadableImage as error:
            raise ValueError(f"baselines: cannot read {description}: {error}") from error
    else:
        image = Image.new("RGB", preprocessing.crop[::-1], _colour(description))
    # float64, rounded once: when it is cast to the dtype of the images
    return preprocessing.normalize(preprocessing(image)[0][None].double() / 255)


def _colour(description: str | Sequence[float]) -> tuple[int, ...]:
    named = isinstance(description, str) and (
        description in ("black", "white") or re.fullmatch("#[0-9a-fA-F]{6}", description)
    )
    if isinstance(description, str) and named:
        return ImageColor.getrgb(description)
    numbers = list(description) if isinstance(description, Sequence) and not isinstance(description, str) else []
    if len(numbers) != 3 or not all(isinstance(value, int | float) and 0 <= value <= 255 for value in numbers):
        raise ValueError(
            f"baselines: {description!r} is neither a number, a file, nor one of {', '.join(NAMES)}, '#rrggbb', "
            "[red, green, blue] in 0..255"
        )
    return tuple(round(value) for value in numbers)
