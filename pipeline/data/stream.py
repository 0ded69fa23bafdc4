"""Image files -> decoded batches, in order, by worker processes that stay a few batches ahead."""

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
"""So often in a row workers may be killed while one batch is waited for; then its images are decoded one by one."""
MAX_KILLED_IN_A_ROW = 10
"""So many images in a row that kill whoever decodes them are not the images' fault."""


class PathList(Protocol):
    """Anything that knows where each image is."""

    def place(self, number: int, /) -> ImageLocation: ...


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

    def part(self, start: int, stop: int) -> "Batch":
        """Some of the readable images."""
        return Batch(self.pixels[start:stop], self.index[start:stop], self.crop[start:stop], [])

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader, where it is asked to."""
        return Batch(self.pixels.pin_memory(), self.index, self.crop, self.failures)


Example = tuple[int, Tensor, Tensor]
KILLED = "killed"
"""The stage of a failure that killed its process."""


@dataclass(frozen=True)
class _Images(Dataset[Example | Failure]):
    """Decodes on request; asked with the place itself, so that a worker needs no list and no open file."""

    root: bytes
    preprocessing: Preprocessing

    def __getitem__(self, request: tuple[int, ImageLocation]) -> Example | Failure:
        number, place = request
        try:
            return number, *self.preprocessing(fetch_image(self.root, place))
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
        root: The folder that the paths are relative to, or its address.
        paths: Where each image number is.
        preprocessing: Of the model.
        batches: Image numbers of each batch; drawn lazily, two batches a worker ahead of what is yielded.
        num_workers: Processes; 0 decodes in this one.
        pin_memory: Whether pixels arrive in page-locked memory, for a faster copy to a GPU.

    Yields:
        The batches in the order of ``batches``; an unreadable image is in its batch's failures.

    Raises:
        UsageError: Workers were killed over and over, such as for the memory that an image takes.
    """
    images = _Images(os.fsencode(root), preprocessing)
    drawn, waiting, deaths = iter(batches), deque[Sequence[int]](), 0
    while True:
        loader = DataLoader(
            images,
            batch_sampler=_Requests(paths, chain(tuple(waiting), _remembered(drawn, waiting))),
            collate_fn=images.collate,
            num_workers=num_workers,
            pin_memory=pin_memory,
            worker_init_fn=_leave_interrupts_to_parent,
            generator=torch.Generator(),  # else the DataLoader would draw from the global one
        )
        try:
            for batch in _iterate(loader):
                waiting.popleft()
                deaths = 0
                yield batch
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not _of_a_death(error):
                raise
            deaths += 1
            first = os.fsdecode(paths.place(waiting[0][0]).path) if waiting else "the last"
            if deaths < MAX_WORKER_DEATHS:
                log.warning("a decoding process was killed: started again, from %r on", first)
                continue
            log.warning("decoding processes were killed %d times: from %r on one image at a time", deaths, first)
            for batch in _one_by_one(images, paths, waiting):
                yield batch.pin_memory() if pin_memory else batch
            deaths = 0
        else:
            return


def _remembered(batches: Iterator[Sequence[int]], waiting: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
    """Passes the batches on, and notes that they are waited for."""
    for batch in batches:
        waiting.append(batch)
        yield batch


def _one_by_one(images: _Images, paths: PathList, waiting: deque[Sequence[int]]) -> Iterator[Batch]:
    """The batches that are waited for, each image decoded by a process of its own; what kills that is a failure."""
    killed = 0
    while waiting:
        examples = []
        for number in waiting[0]:
            examples.append(_alone(images, number, paths.place(number)))
            killed = killed + 1 if _is_killed(examples[-1]) else 0
            if killed == MAX_KILLED_IN_A_ROW:
                raise UsageError(
                    f"decoding processes were killed at {killed} images in a row, "
                    f"up to {os.fsdecode(paths.place(number).path)!r}: is there too little memory? "
                    "lower num_workers or batch_size"
                )
        waiting.popleft()
        yield images.collate(examples)


def _alone(images: _Images, number: int, place: ImageLocation) -> Example | Failure:
    for _ in range(MAX_WORKER_DEATHS):
        loader = DataLoader(
            images,
            batch_sampler=[[(number, place)]],
            collate_fn=_first,
            num_workers=1,
            worker_init_fn=_leave_interrupts_to_parent,
            generator=torch.Generator(),
        )
        try:
            found: Example | Failure = next(_iterate(loader))
        except (RuntimeError, EOFError, ConnectionError) as error:
            if not _of_a_death(error):
                raise
        else:
            return found
    words = f"the process that decoded it died {MAX_WORKER_DEATHS} times: a crash in the decoder, or too little memory"
    return Failure(number, KILLED, words)


def _is_killed(example: Example | Failure) -> bool:
    return isinstance(example, Failure) and example.stage == KILLED


def _first(examples: Sequence[Example | Failure]) -> Example | Failure:
    return examples[0]


def _of_a_death(error: Exception) -> bool:
    """Whether a worker is gone: the loader says so, or what the worker wanted to hand over went with it."""
    return not isinstance(error, RuntimeError) or str(error).startswith("DataLoader worker (pid")


def _iterate(loader: DataLoader[Any]) -> Iterator[Any]:
    """What the loader gives; a worker's death is an error here alone, not in whatever the caller just does."""
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)  # puts in a handler that raises in the main thread, wherever that is
    signal.signal(signal.SIGCHLD, before)
    return batches


@dataclass(frozen=True)
class _Requests:
    paths: PathList
    batches: Iterable[Sequence[int]]

    def __iter__(self) -> Iterator[list[tuple[int, ImageLocation]]]:
        return ([(number, self.paths.place(number)) for number in batch] for batch in self.batches)


def _leave_interrupts_to_parent(worker: int) -> None:
    """Ctrl-C reaches every process; the parent, which has results to save, ends the others by SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
