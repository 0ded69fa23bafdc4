"""Decoded images: one by one in a worker process, and collated into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.image_paths import ImageLocation
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import Failure

Example = tuple[int, Tensor, Tensor]
"""Image number, pixels (3, H, W) uint8, crop (6,) int32."""


@dataclass
class Batch:
    """The decoded images of a batch, and the failures among them.

    Attributes:
        pixels: uint8 (n, 3, H, W), n may be 0.
        index: Number of each image, int64 (n,).
        crop: As ``Preprocessing`` returns it, int32 (n, 6).
        failures: The images that could not be read.
    """

    pixels: Tensor
    index: np.ndarray
    crop: np.ndarray
    failures: list[Failure]

    def part(self, start: int, stop: int) -> "Batch":
        """A range of the decoded images, without the failures."""
        return Batch(self.pixels[start:stop], self.index[start:stop], self.crop[start:stop], [])

    def pin_memory(self) -> "Batch":
        """Copies the pixels to page-locked memory; the DataLoader calls it under ``pin_memory=True``."""
        return Batch(self.pixels.pin_memory(), self.index, self.crop, self.failures)


@dataclass(frozen=True)
class ImageDataset(Dataset[Example | Failure]):
    """Decodes an image on request; a request has the location itself, so that a worker needs no list and no open file.

    Attributes:
        root: The folder that the paths are relative to, or its address.
        preprocessing: Of the model.
    """

    root: bytes
    preprocessing: Preprocessing

    def __getitem__(self, request: tuple[int, ImageLocation]) -> Example | Failure:
        number, location = request
        try:
            return number, *self.preprocessing(fetch_image(self.root, location))
        except UnreadableImage as error:
            return Failure(number, "read", str(error))

    def collate(self, examples: Sequence[Example | Failure]) -> Batch:
        """Stacks the decoded images of a batch."""
        failures = [example for example in examples if isinstance(example, Failure)]
        decoded = [example for example in examples if not isinstance(example, Failure)]
        height, width = self.preprocessing.crop
        pixels = torch.empty((len(decoded), 3, height, width), dtype=torch.uint8)
        crop = np.empty((len(decoded), 6), np.int32)
        for row, (_, image, box) in enumerate(decoded):
            pixels[row] = image
            crop[row] = box.numpy()
        return Batch(pixels, np.array([number for number, _, _ in decoded], np.int64), crop, failures)
