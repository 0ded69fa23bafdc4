"""Object regions: boxes from ImageNet's XML or COCO's JSON, or masks, mapped to the model's input."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from pipeline.data.decode import EXTENSIONS, UnreadableImage, read_image

Crop = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class ObjectRegion:
    """An object in an image.

    Attributes:
        name: Its class, None of a mask, which has no name.
        pixels: Mask of the object at a grid of points: rows and columns as shares of the image's height and width, and
            the image's height and width -> bool (rows, columns).
    """

    name: str | None
    pixels: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class ObjectRegions:
    """The objects of many images.

    Attributes:
        description: Of their source, for people.
        by_name: Objects under the image file's stem, alone and after its folder's name.
    """

    description: str
    by_name: dict[str, list[ObjectRegion]]

    def of(self, path: Path) -> list[ObjectRegion]:
        """Objects of an image file; none if it has no annotation."""
        return self.by_name.get(f"{path.parent.name}/{path.stem}") or self.by_name.get(path.stem, [])


def read_regions(path: Path) -> ObjectRegions:
    """Read a folder of XML files, a COCO JSON file, or a folder of masks whose files have the images' names.

    Raises:
        ValueError: It is none of these, or malformed.
    """
    try:
        if path.is_file():
            return ObjectRegions("boxes of a COCO file", _keyed(_coco(json.loads(path.read_bytes()))))
        files = sorted(file for file in path.rglob("*") if file.is_file())
        boxes = [file for file in files if file.suffix.lower() == ".xml"]
        if boxes:
            return ObjectRegions("boxes of ImageNet's XML files", _keyed((file, _xml(file)) for file in boxes))
        masks = [file for file in files if file.suffix.lower() in EXTENSIONS]
        if masks:
            return ObjectRegions("masks", _keyed((file, [ObjectRegion(None, _in_mask(file))]) for file in masks))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ElementTree.ParseError) as error:
        raise ValueError(f"regions: {path} cannot be read: {type(error).__name__}: {error}") from error
    raise ValueError(f"regions: {path} is neither a folder with XML files or masks nor a COCO file")


def input_mask(regions: Sequence[ObjectRegion], crop: Crop, size: tuple[int, int]) -> Tensor:
    """Mask of the pixels of the model's input that lie in any of the regions.

    Args:
        regions: Of an image.
        crop: Its height and width, and the box of it that the model saw, in its pixels.
        size: (H, W) of the input.

    Returns:
        bool (H, W), by the pixels' centres.
    """
    height, width, top, left, bottom, right = crop
    rows = (top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]) / height
    columns = (left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]) / width
    inside = np.zeros(size, bool)
    for region in regions:
        inside |= region.pixels(rows, columns, height, width)
    return torch.from_numpy(inside)


def _keyed(regions: Iterable[tuple[Path, list[ObjectRegion]]]) -> dict[str, list[ObjectRegion]]:
    """Objects by folder and stem, and by the stem alone where no two folders share it."""
    by_name: dict[str, list[ObjectRegion]] = {}
    folders: dict[str, set[str]] = {}
    for path, objects in regions:
        for key in {path.stem, f"{path.parent.name}/{path.stem}"}:
            by_name.setdefault(key, []).extend(objects)
        folders.setdefault(path.stem, set()).add(str(path.parent))
    for name, parents in folders.items():
        if len(parents) > 1:
            del by_name[name]
    return by_name


def _xml(file: Path) -> list[ObjectRegion]:
    root = ElementTree.parse(file).getroot()
    size = [float(root.findtext(f"size/{name}", "0")) for name in ("width", "height")]
    return [
        ObjectRegion(
            one.findtext("name"),
            _in_box(
                tuple(float(one.findtext(f"bndbox/{name}", "")) for name in ("xmin", "ymin", "xmax", "ymax")), size
            ),
        )
        for one in root.iter("object")
    ]


def _coco(content: dict[str, Any]) -> Iterator[tuple[Path, list[ObjectRegion]]]:
    names = {one["id"]: one["name"] for one in content["categories"]}
    images = {one["id"]: one for one in content["images"]}
    for one in content["annotations"]:
        image, (left, top, width, height) = images[one["image_id"]], one["bbox"]
        box = (left, top, left + width, top + height)
        region = ObjectRegion(names[one["category_id"]], _in_box(box, (image["width"], image["height"])))
        yield Path(image["file_name"]), [region]


def _in_box(box: tuple[float, ...], size: Sequence[float]) -> Callable[..., np.ndarray]:
    """Mask function of a box left, top, right, bottom in an image of (width, height); (0, 0): the image's own size."""

    def pixels(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> np.ndarray:
        left, top, right, bottom = box
        across, down = (size[0] or width), (size[1] or height)
        inside_rows = (rows * down >= top) & (rows * down < bottom)
        inside_columns = (columns * across >= left) & (columns * across < right)
        both: np.ndarray = inside_rows[:, None] & inside_columns
        return both

    return pixels


def _in_mask(file: Path) -> Callable[..., np.ndarray]:
    """Mask function of a picture: the object is all that is not black."""

    def pixels(rows: np.ndarray, columns: np.ndarray, _height: int, _width: int) -> np.ndarray:
        try:
            mask: np.ndarray = np.asarray(read_image(file)).max(2) > 0
        except UnreadableImage as error:
            raise ValueError(f"regions: cannot read {file}: {error}") from error
        places = [
            (np.clip(np.floor(shares * length).astype(int), 0, length - 1), (shares >= 0) & (shares < 1))
            for shares, length in zip((rows, columns), mask.shape, strict=True)
        ]
        (down, known_rows), (across, known_columns) = places
        inside: np.ndarray = mask[np.ix_(down, across)] & known_rows[:, None] & known_columns
        return inside

    return pixels
