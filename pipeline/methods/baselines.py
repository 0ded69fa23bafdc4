"""The input that means "absent"."""

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


def baselines_of(described: BaselineLike, preprocessing: Preprocessing | None) -> Baselines:
    """Baselines from what the option ``baselines`` may be.

    * ``zero`` or a number: that value in the model's input (0 is the mean colour of the training data);
    * ``black``, ``white``, ``#rrggbb`` or [red, green, blue] in 0..255: that colour;
    * ``mean``: each image's own mean colour; ``blur``: the image blurred;
    * ``noise``: uniform over the colours, drawn from the image's seed;
    * a path: that picture, preprocessed like the images;
    * a tensor (1, C, H, W) or (N, C, H, W): as it is.

    Args:
        described: One of the above.
        preprocessing: The model's own; needed for colours, noise and files.

    Raises:
        ValueError: If the description is none of these, or needs a preprocessing that is not given.
    """
    if isinstance(described, Tensor):
        return partial(_tensor, described)
    if isinstance(described, int | float):
        return partial(_constant, float(described))
    if isinstance(described, str) and described in _OF_THE_IMAGE:
        return _OF_THE_IMAGE[described]
    if preprocessing is None:
        raise ValueError(
            f"baselines: {described!r} needs to know the model's colours: give View(model, preprocessing=...)"
        )
    if described == "noise":
        return partial(_noise, preprocessing)
    return partial(_tensor, _picture(described, preprocessing))


def _constant(value: float, images: Tensor, _seeds: Tensor) -> Tensor:
    return torch.full_like(images[:1], value)


def _mean(images: Tensor, _seeds: Tensor) -> Tensor:
    return images.mean((2, 3), keepdim=True).expand_as(images)


def _blur(images: Tensor, _seeds: Tensor) -> Tensor:
    sigma = BLUR * min(images.shape[2:])
    blurred: Tensor = functional.gaussian_blur(images, [2 * round(3 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


_OF_THE_IMAGE: dict[str, Baselines] = {"zero": partial(_constant, 0.0), "mean": _mean, "blur": _blur}
NAMES = (*_OF_THE_IMAGE, "black", "white", "noise")


def _noise(preprocessing: Preprocessing, images: Tensor, seeds: Tensor) -> Tensor:
    drawn = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return preprocessing.normalize(torch.stack(drawn).to(images))


def _tensor(baselines: Tensor, images: Tensor, _seeds: Tensor) -> Tensor:
    if baselines.shape[1:] != images.shape[1:] or len(baselines) not in (1, len(images)):
        raise ValueError(f"baselines: {tuple(baselines.shape)} does not fit images of {tuple(images.shape)}")
    return baselines.to(images)


def _picture(described: str | Sequence[float], preprocessing: Preprocessing) -> Tensor:
    """A colour or a picture file as the model sees it, float64 (1, C, H, W)."""
    if isinstance(described, str) and Path(described).is_file():
        try:
            image = read_image(described)
        except UnreadableImage as error:
            raise ValueError(f"baselines: cannot read {described}: {error}") from error
    else:
        image = Image.new("RGB", preprocessing.crop[::-1], _colour(described))
    return preprocessing.normalize(preprocessing(image)[0][None].double() / 255)


def _colour(described: str | Sequence[float]) -> tuple[int, ...]:
    if isinstance(described, str) and (described in ("black", "white") or re.fullmatch("#[0-9a-fA-F]{6}", described)):
        return ImageColor.getrgb(described)
    numbers = list(described) if isinstance(described, Sequence) and not isinstance(described, str) else []
    if len(numbers) != 3 or not all(isinstance(value, int | float) and 0 <= value <= 255 for value in numbers):
        raise ValueError(
            f"baselines: {described!r} is neither a number, a file, nor one of {', '.join(NAMES)}, '#rrggbb', "
            "[red, green, blue] in 0..255"
        )
    return tuple(round(value) for value in numbers)
