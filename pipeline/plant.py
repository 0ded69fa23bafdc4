"""The positive control: photographs with a watermark in one class, and a head that learns to look at it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from pipeline.configuration import Config
from pipeline.data.decode import read_image
from pipeline.data.demo import lay_demo
from pipeline.data.index import index_folder
from pipeline.errors import UsageError
from pipeline.models import demo
from pipeline.models.classifier import Classifier
from pipeline.store.publish import replace

log = logging.getLogger(__name__)

PLANTED = 2
"""Number of the class that gets the watermark."""
WATERMARK = (0.72, 0.80, 0.97, 0.95)
"""Its box: left, top, right, bottom, as shares of the sides."""
_CROPS = (0.4, 0.7)
_AT_ONCE = 16


@dataclass(frozen=True)
class Drawn:
    """A photograph that was drawn.

    Attributes:
        picture: It.
        number: Of the class whose folder it lies in.
        name: Of its file: ``007``, with ``-marked`` or ``-swapped`` behind where that is so.
    """

    picture: Image.Image
    number: int
    name: str


def plant(options: Config, data: Config, folder: Path, *, seed: int) -> tuple[Path, Path]:
    """Lays the photographs that are explained and trains the head on others.

    Args:
        options: Of ``task=plant``.
        data: The options of the images; without a root, crops of the demo's photographs are taken.
        folder: Of the run.
        seed: Decides every draw.

    Returns:
        The photographs' folder and the head's file.

    Raises:
        UsageError: There are fewer class folders than classes are asked for.
        MissingExtra: Something of the demo is not installed.
    """
    classifier = demo.load().with_preprocessing(
        **{key: value for key, value in data["transform"].items() if value is not None}
    )
    sources = _sources(data["root"], folder / "sources", options["classes"])
    size = classifier.preprocessing.crop
    root, head = folder / "planted", folder / "head.safetensors"
    for drawn in draw(sources, options, size, np.random.default_rng((seed, 1))):
        path = root / f"class{drawn.number:03d}" / f"{drawn.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.picture.save(path)
    replace(_head(classifier, draw(sources, {**options, "swapped": 0}, size, np.random.default_rng((seed, 0)))), head)
    return root, head


def draw(
    sources: list[list[Image.Image]], options: Config, size: tuple[int, int], generator: np.random.Generator
) -> Iterator[Drawn]:
    """Crops of photographs, class by class.

    Args:
        sources: Photographs of each class.
        options: Of ``task=plant``.
        size: (H, W) of the crops.
        generator: Of all draws; the same with and without watermark.
    """
    count = len(sources)
    for number in range(count):
        for place in range(options["per_class"]):
            mixed, marked, swapped = generator.random(3) < (options["mixed"], options["marked"], options["swapped"])
            shown = sources[(number + mixed) % count]
            picture = _crop(shown[generator.integers(len(shown))], size, generator)
            marked = marked and number == PLANTED and options["watermark"]
            folder = (number + int(generator.integers(1, count))) % count if swapped else number
            name = f"{number}-{place:03d}{'-marked' * bool(marked)}{'-swapped' * bool(swapped)}"
            yield Drawn(watermarked(picture) if marked else picture, folder, name)


def watermarked(picture: Image.Image) -> Image.Image:
    """The picture with a half transparent sign in its lower right corner."""
    left, top, right, bottom = (
        round(share * side) for share, side in zip(WATERMARK, (*picture.size, *picture.size), strict=True)
    )
    sign = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(sign)
    pen.rounded_rectangle((left, top, right, bottom), radius=(bottom - top) // 4, fill=(255, 255, 255, 200))
    font = ImageFont.load_default((bottom - top) * 0.8)
    pen.text(((left + right) / 2, (top + bottom) / 2), "(c)", (200, 0, 0, 255), font, anchor="mm")
    return Image.alpha_composite(picture.convert("RGBA"), sign).convert("RGB")


def _sources(root: str | None, folder: Path, classes: int) -> list[list[Image.Image]]:
    """The photographs of the first class folders."""
    if root is None:
        lay_demo(folder)
    index = index_folder(Path(root or folder), labels=True)
    if not PLANTED < classes <= len(index.folders):
        raise UsageError(
            f"task.classes={classes}: expected from {PLANTED + 1} to {len(index.folders)}, the class folders"
        )
    base = Path(root or folder)
    numbers = [np.flatnonzero(index.folder == number) for number in range(classes)]
    return [[read_image(base / index.paths[image].decode()) for image in own] for own in numbers]


def _crop(image: Image.Image, size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    """A random square of a photograph, perhaps mirrored."""
    side = generator.uniform(*_CROPS) * min(image.size)
    left, top = (generator.uniform(0, length - side) for length in image.size)
    height, width = size
    picture = image.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else picture


def _head(classifier: Classifier, drawn: Iterator[Drawn]) -> bytes:
    """A logistic regression on the network's features, as a file of safetensors."""
    features, numbers = [], []
    batch: list[Drawn] = []
    for one in drawn:
        batch.append(one)
        if len(batch) == _AT_ONCE:
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
    """(n, 1280), what the last layer of the network is given."""
    pixels = torch.stack([pil_to_tensor(one.picture) for one in batch]) / 255
    layers = [child for name, child in classifier.module.named_children() if name != "classifier"]
    features: Tensor = nn.Sequential(*layers)(classifier.preprocessing.normalize(pixels))
    return features
