"""Image files -> decoded batches, in order, by worker processes that prefetch.

A worker process that is killed (by the out-of-memory killer, or a crash in a decoder) is started again. After
`MAX_WORKER_DEATHS` in a row the images of the waiting batches are isolated: each is decoded in a process of its own, so
that an image that kills its process is recorded as a failure and all others are kept.
"""

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.data.decode import UnreadableImage
from pipeline.data.fetch import fetch_image
from pipeline.data.image_paths import ImageLocation
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import Failure, UsageError

log = logging.getLogger(__name__)

MAX_WORKER_DEATHS = 3
"""Deaths in a row of workers while one batch is waited for, before its images are isolated; also tries of an image."""
MAX_KILLED_IN_A_ROW = 10
"""Consecutive images that kill their process, before the machine and not the images is taken for the cause."""


class PathList(Protocol):
    """Image number -> location; a manifest's paths, or an index's."""

    def location(self, number: int, /) -> ImageLocation: ...


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


Example = tuple[int, Tensor, Tensor]
"""Image number, pixels (3, H, W) uint8, crop (6,) int32."""
KILLED = "killed"
"""The stage of a failure whose image killed its process."""


@dataclass(frozen=True)
class _Images(Dataset[Example | Failure]):
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
        root: The folder that the paths are relative to, or its address.
        paths: Location of each image number.
        preprocessing: Of the model.
        batches: Image numbers of each batch; read lazily, two batches a worker ahead of what is yielded.
        num_workers: Decoding processes; 0 decodes in this one.
        pin_memory: True to put pixels into page-locked memory, for a faster copy to a GPU.

    Yields:
        The batches in the order of ``batches``; an unreadable image is in its batch's failures.

    Raises:
        UsageError: Worker processes were killed at many images in a row, which points to too little memory.
    """
    images = _Images(os.fsencode(root), preprocessing)
    numbers, waiting, deaths = iter(batches), deque[Sequence[int]](), 0
    while True:
        loader = DataLoader(
            images,
            batch_sampler=_Requests(paths, chain(tuple(waiting), _queued(numbers, waiting))),
            collate_fn=images.collate,
            num_workers=num_workers,
            pin_memory=pin_memory,
            worker_init_fn=_ignore_interrupts,
            generator=torch.Generator(),  # else the DataLoader would draw from the global one
        )
        try:
            for batch in _iterate(loader):
                waiting.popleft()
                deaths = 0
                yield batch
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not _is_worker_death(error):
                raise
            deaths += 1
            first = os.fsdecode(paths.location(waiting[0][0]).path) if waiting else "the last"
            if deaths < MAX_WORKER_DEATHS:
                log.warning("a decoding process was killed: started again, from %r on", first)
                continue
            log.warning("decoding processes were killed %d times: from %r on one image at a time", deaths, first)
            for batch in _isolated_batches(images, paths, waiting):
                yield batch.pin_memory() if pin_memory else batch
            deaths = 0
        else:
            return


def _queued(batches: Iterator[Sequence[int]], waiting: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
    """Passes batches to the DataLoader and queues them, so that a new DataLoader can prefetch them again."""
    for batch in batches:
        waiting.append(batch)
        yield batch


def _isolated_batches(images: _Images, paths: PathList, waiting: deque[Sequence[int]]) -> Iterator[Batch]:
    """The waiting batches, each image decoded in a process of its own; one that kills its process is a failure."""
    killed = 0
    while waiting:
        examples = []
        for number in waiting[0]:
            examples.append(_decode_isolated(images, number, paths.location(number)))
            killed = killed + 1 if _is_killed(examples[-1]) else 0
            if killed == MAX_KILLED_IN_A_ROW:
                raise UsageError(
                    f"decoding processes were killed at {killed} images in a row, "
                    f"up to {os.fsdecode(paths.location(number).path)!r}: is there too little memory? "
                    "lower num_workers or batch_size"
                )
        waiting.popleft()
        yield images.collate(examples)


def _decode_isolated(images: _Images, number: int, location: ImageLocation) -> Example | Failure:
    for _ in range(MAX_WORKER_DEATHS):
        loader = DataLoader(
            images,
            batch_sampler=[[(number, location)]],
            collate_fn=_only_example,
            num_workers=1,
            worker_init_fn=_ignore_interrupts,
            generator=torch.Generator(),
        )
        try:
            example: Example | Failure = next(_iterate(loader))
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not _is_worker_death(error):
                raise
        else:
            return example
    reason = f"the process that decoded it died {MAX_WORKER_DEATHS} times: a crash in the decoder, or too little memory"
    return Failure(number, KILLED, reason)


def _is_killed(example: Example | Failure) -> bool:
    return isinstance(example, Failure) and example.stage == KILLED


def _only_example(examples: Sequence[Example | Failure]) -> Example | Failure:
    return examples[0]


def _is_worker_death(error: Exception) -> bool:
    """True if a worker process died: the DataLoader reports it, or the tensor it was sending was lost with it."""
    return not isinstance(error, RuntimeError) or str(error).startswith("DataLoader worker (pid")


def _iterate(loader: DataLoader[Any]) -> Iterator[Any]:
    """Starts a DataLoader without its SIGCHLD handler, so that a worker's death is raised only by ``next``.

    The handler would raise in the main thread wherever that is, also in the caller's code between two batches.
    """
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)  # installs the handler
    signal.signal(signal.SIGCHLD, before)
    return batches


@dataclass(frozen=True)
class _Requests:
    """Batch sampler of the DataLoader: numbers and locations of each batch's images."""

    paths: PathList
    batches: Iterable[Sequence[int]]

    def __iter__(self) -> Iterator[list[tuple[int, ImageLocation]]]:
        return ([(number, self.paths.location(number)) for number in batch] for batch in self.batches)


def _ignore_interrupts(worker: int) -> None:
    """Ignores SIGINT in a worker: Ctrl-C reaches every process, and the parent, which saves first, ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
