"""The demo's photographs, copied from installed packages into a small labelled folder, without a download."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.errors import MissingExtra


@dataclass(frozen=True)
class Photograph:
    """A freely licensed photograph.

    Attributes:
        name: File name in the demo's folder.
        wordnet_id: Its ImageNet class, chosen by a person.
        package: The distribution that contains it.
        source: Its path below site-packages.
        licence: As the package states it; for matplotlib's photograph, as pull request 1599 there states it.
        credit: The photographer or owner.
    """

    name: str
    wordnet_id: str
    package: str
    source: str
    licence: str
    credit: str


# In the order of the index. Left out: scikit-image's motorcycle, whose licence is not stated, and what no
# ImageNet class names (scikit-learn's dahlia; scikit-image's coins, textures, and clock blurred by motion).
DEMO_PHOTOGRAPHS = tuple(
    Photograph(*fields)
    for fields in (
        # tiger cat
        ("chelsea.png", "n02123159", "scikit-image", "skimage/data/chelsea.png", "CC0", "S. van der Walt"),
        # military uniform
        (
            "grace_hopper.jpg",
            "n03763968",
            "matplotlib",
            "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
            "public domain",
            "United States Navy",
        ),
        # missile
        ("rocket.jpg", "n03773504", "scikit-image", "skimage/data/rocket.jpg", "public domain", "SpaceX"),
        # palace
        (
            "china.jpg",
            "n03877845",
            "scikit-learn",
            "sklearn/datasets/images/china.jpg",
            "CC BY 2.0",
            "danielbuechele, flickr.com/photos/danielbuechele/6061409035",
        ),
        # space shuttle: the model beside the astronaut, for whom there is no class
        ("astronaut.png", "n04266014", "scikit-image", "skimage/data/astronaut.png", "public domain", "NASA"),
        # tripod
        ("camera.png", "n04485082", "scikit-image", "skimage/data/camera.png", "CC0", "Lav Varshney"),
        # espresso
        ("coffee.png", "n07920052", "scikit-image", "skimage/data/coffee.png", "CC0", "Rachel Michetti"),
    )
)


def demo_index() -> ImageIndex:
    """The index of the folder that :func:`write_demo_photographs` writes, without listing it."""
    folders = [photograph.wordnet_id for photograph in DEMO_PHOTOGRAPHS]
    paths = ImagePaths.from_bytes(os.fsencode(f"{photo.wordnet_id}/{photo.name}") for photo in DEMO_PHOTOGRAPHS)
    return ImageIndex(paths, np.arange(len(folders), dtype=np.int32), folders)


def write_demo_photographs(folder: Path) -> None:
    """Copies the photographs unchanged to ``folder/<WordNet id>/<name>``; existing files are kept.

    Raises:
        MissingExtra: A package, or its photograph, is not installed.
    """
    for photograph in DEMO_PHOTOGRAPHS:
        target = folder / photograph.wordnet_id / photograph.name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(_installed_file(photograph), temporary)
        temporary.replace(target)  # atomic: other workers may be writing the same file


def _installed_file(photograph: Photograph) -> Path:
    """The photograph's path, located without importing its package, which would take seconds."""
    package = importlib.util.find_spec(photograph.source.partition("/")[0])
    if package is not None and package.origin is not None:
        source = Path(package.origin).parent.parent / photograph.source
        if source.is_file():
            return source
    raise MissingExtra("demo", f"the photograph {photograph.name} of {photograph.package}")
