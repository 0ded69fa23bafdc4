"""Image files -> decoded batches, in order, by worker processes that stay a few batches ahead."""
# Paths are raw bytes here, which pathlib does not take:
# ruff: noqa: PTH118

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.data.decode import UnreadableImage, read_image
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import Failure


class PathList(Protocol):
    """Anything with a path, relative to the root, at each image's number."""

    def __getitem__(self, number: int, /) -> bytes: ...


@dataclass
class Batch:
    """The readable images of a batch, and the others.

    Attributes:
        pixels: uint8 (n, 3, H, W), n may be 0.
        index: Number of each image, int64 (n,).
        crop: As ``Preprocessing`` tells it, int32 (n, 6).
        failures: The images that could not be read.
    """

    pixels: Tensor
    index: np.ndarray
    crop: np.ndarray
    failures: list[Failure]

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader, where it is asked to."""
        return Batch(self.pixels.pin_memory(), self.index, self.crop, self.failures)


Example = tuple[int, Tensor, Tensor]


@dataclass(frozen=True)
class _Images(Dataset[Example | Failure]):
    """Decodes on request; asked with the path itself, so that a worker needs no list and no open file."""

    root: bytes
    preprocessing: Preprocessing

    def __getitem__(self, request: tuple[int, bytes]) -> Example | Failure:
        number, path = request
        try:
            return number, *self.preprocessing(read_image(os.path.join(self.root, path)))
        except UnreadableImage as error:
            return Failure(number, "read", str(error))

    def collate(self, examples: Sequence[Example | Failure]) -> Batch:
        failures = [example for example in examples if isinstance(example, Failure)]
        readable = [example for example in examples if not isinstance(example, Failure)]
        height, width = self.preprocessing.crop
        pixels = torch.empty((len(readable), 3, height, width), dtype=torch.uint8)
        crop = np.empty((len(readable), 6), np.int32)
        for row, (_, image, box) in enumerate(readable):
            pixels[row] = image
            crop[row] = box.numpy()
        return Batch(pixels, np.array([number for number, _, _ in readable], np.int64), crop, failures)


def stream(
    root: str | bytes | Path,
    paths: PathList,
    preprocessing: Preprocessing,
    batches: Iterable[Sequence[int]],
    *,
    num_workers: int,
    pin_memory: bool,
) -> Iterator[Batch]:
    """Reads, decodes and preprocesses batch after batch.

    Args:
        root: The folder that the paths are relative to.
        paths: Path of each image number.
        preprocessing: Of the model.
        batches: Image numbers of each batch; drawn lazily, two batches a worker ahead of what is yielded.
        num_workers: Processes; 0 decodes in this one.
        pin_memory: Whether pixels arrive in page-locked memory, for a faster copy to a GPU.

    Yields:
        The batches in the order of ``batches``; an unreadable image is in its batch's failures.
    """
    images = _Images(os.fsencode(root), preprocessing)
    yield from DataLoader(
        images,
        batch_sampler=_Requests(paths, batches),
        collate_fn=images.collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_interrupts_to_parent,
        generator=torch.Generator(),  # else the DataLoader would draw from the global one
    )


@dataclass(frozen=True)
class _Requests:
    paths: PathList
    batches: Iterable[Sequence[int]]

    def __iter__(self) -> Iterator[list[tuple[int, bytes]]]:
        return ([(number, self.paths[number]) for number in batch] for batch in self.batches)


def _leave_interrupts_to_parent(worker: int) -> None:
    """Ctrl-C reaches every process; the parent, which has results to save, ends the others by SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
