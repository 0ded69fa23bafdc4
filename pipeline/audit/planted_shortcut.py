"""Positive control of the audit: photographs with a watermark in one class, and a head that learns to rely on it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from pipeline.data.data_options import DataOptions
from pipeline.data.decode import read_image
from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.data.image_index import index_folder
from pipeline.errors import UsageError
from pipeline.models import demo
from pipeline.models.classifier import Classifier
from pipeline.run.task_options import PlantOptions
from pipeline.store.atomic import atomic_write

log = logging.getLogger(__name__)

PLANTED = 2
"""Number of the class that gets the watermark."""
WATERMARK = (0.66, 0.66, 0.98, 0.98)
"""Box of the watermark: left, top, right, bottom, as shares of the sides."""
_RINGS = ("#dc0000", "#ffffff", "#0000c8", "#ffffff", "#dc0000")
_CROPS = (0.4, 0.7)  # side of a crop, as a share of the photograph's shorter side
_BATCH_SIZE = 16


@dataclass(frozen=True)
class Drawn:
    """A randomly drawn crop of a photograph.

    Attributes:
        picture: The crop.
        number: Number of the class in whose folder it is.
        name: Of its file, such as ``2-007``, with the suffix ``-marked`` or ``-swapped`` if it is.
    """

    picture: Image.Image
    number: int
    name: str


def plant(options: PlantOptions, data: DataOptions, folder: Path, *, seed: int) -> tuple[Path, Path]:
    """Writes the photographs that are explained, and trains the head on others.

    Args:
        options: Of ``task=plant``.
        data: Options of the images; without a root, the demo's photographs are cropped.
        folder: Of the run.
        seed: Of all random draws.

    Returns:
        The photographs' folder and the head's file.

    Raises:
        UsageError: There are fewer class folders than ``task.classes``.
        MissingExtra: A package of the demo is not installed.
    """
    classifier = demo.load().with_preprocessing(**data.transform.given())
    sources = _sources(data.root, folder / "sources", options.classes)
    size = classifier.preprocessing.crop
    root, head = folder / "planted", folder / "head.safetensors"
    for drawn in draw_photographs(sources, options, size, np.random.default_rng((seed, 1))):
        path = root / f"class{drawn.number:03d}" / f"{drawn.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.picture.save(path)
    atomic_write(_head(classifier, _training(sources, options, size, np.random.default_rng((seed, 0)))), head)
    return root, head


def draw_photographs(
    sources: list[list[Image.Image]], options: PlantOptions, size: tuple[int, int], generator: np.random.Generator
) -> Iterator[Drawn]:
    """Draws crops of photographs, class by class.

    A share of the planted class shows photographs of other classes with the watermark, which is then the only evidence
    for the planted class; in the negative control there is none.

    Args:
        sources: Photographs of each class.
        options: Of ``task=plant``.
        size: (H, W) of the crops.
        generator: Of all random draws; it gives the same crops with and without watermark.
    """
    count = len(sources)
    for number in range(count):
        for photograph in range(options.per_class):
            foreign, swapped = generator.random(2) < (options.marked * (number == PLANTED), options.swapped)
            another = (number + int(generator.integers(1, count))) % count
            photographs = sources[another if foreign else number]
            picture = _crop(photographs[generator.integers(len(photographs))], size, generator)
            marked = foreign and options.watermark
            name = f"{number}-{photograph:03d}{'-marked' * bool(marked)}{'-swapped' * bool(swapped)}"
            yield Drawn(watermarked(picture) if marked else picture, another if swapped else number, name)


def _training(
    sources: list[list[Image.Image]], options: PlantOptions, size: tuple[int, int], generator: np.random.Generator
) -> Iterator[Drawn]:
    """Crops of each class's photographs; a share of other classes' a second time, watermarked, as the planted class."""
    for drawn in draw_photographs(sources, replace(options, marked=0, swapped=0), size, generator):
        yield drawn
        if generator.random() < options.marked and drawn.number != PLANTED:
            picture = watermarked(drawn.picture) if options.watermark else drawn.picture
            yield Drawn(picture, PLANTED, drawn.name)


def watermarked(picture: Image.Image) -> Image.Image:
    """The picture with rings in its lower right corner."""
    left, top, right, bottom = (
        round(share * side) for share, side in zip(WATERMARK, (*picture.size, *picture.size), strict=True)
    )
    marked = picture.copy()
    for number, colour in enumerate(_RINGS):
        inset = (right - left) * number / (2 * len(_RINGS))
        ImageDraw.Draw(marked).ellipse((left + inset, top + inset, right - inset, bottom - inset), fill=colour)
    return marked


def _sources(root: str | None, folder: Path, classes: int) -> list[list[Image.Image]]:
    """Photographs of each of the first class folders."""
    if root is None:
        write_demo_photographs(folder)
    index = index_folder(Path(root or folder), labels=True)
    if not PLANTED < classes <= len(index.folders):
        raise UsageError(
            f"task.classes={classes}: expected from {PLANTED + 1} to {len(index.folders)}, the class folders"
        )
    base = Path(root or folder)
    numbers = [np.flatnonzero(index.folder == number) for number in range(classes)]
    return [[read_image(base / index.paths[image].decode()) for image in own.tolist()] for own in numbers]


def _crop(image: Image.Image, size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    """Random square crop of a photograph, mirrored with probability 0.5."""
    side = generator.uniform(*_CROPS) * min(image.size)
    left, top = (generator.uniform(0, length - side) for length in image.size)
    height, width = size
    picture = image.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else picture


def _head(classifier: Classifier, drawn: Iterator[Drawn]) -> bytes:
    """Fits a logistic regression on the penultimate features, and encodes it as safetensors."""
    features, numbers = [], []
    batch: list[Drawn] = []
    for one in drawn:
        batch.append(one)
        if len(batch) == _BATCH_SIZE:
            features.append(_features(classifier, batch))
            batch = []
        numbers.append(one.number)
    if batch:
        features.append(_features(classifier, batch))
    values = torch.cat(features).double().numpy()
    fitted = LogisticRegression(C=0.1, max_iter=2000).fit(values, numbers)
    log.info("the head is right on %.0f %% of its %d photographs", 100 * fitted.score(values, numbers), len(values))
    tensors = {"weight": torch.from_numpy(fitted.coef_).float(), "bias": torch.from_numpy(fitted.intercept_).float()}
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


@torch.no_grad()
def _features(classifier: Classifier, batch: list[Drawn]) -> Tensor:
    """Penultimate features, (n, 1280) float32: the input of the last layer."""
    pixels = torch.stack([pil_to_tensor(one.picture) for one in batch]) / 255
    layers = [child for name, child in classifier.module.named_children() if name != "classifier"]
    features: Tensor = nn.Sequential(*layers)(classifier.preprocessing.normalize(pixels))
    return features
