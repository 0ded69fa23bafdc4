"""Worker processes that decode images: PyTorch's DataLoader, in a form that survives the death of a worker."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader

from pipeline.data.batch import ImageDataset
from pipeline.data.image_paths import ImageLocation

WORKER_ERRORS = (RuntimeError, EOFError, ConnectionError)
"""Errors of the DataLoader after a worker's death, among others: see :func:`is_worker_death`."""


class PathList(Protocol):
    """Image number -> location; a manifest's paths, or an index's."""

    def location(self, number: int, /) -> ImageLocation: ...


@dataclass(frozen=True)
class Requests:
    """Batch sampler of the DataLoader: numbers and locations of each batch's images."""

    paths: PathList
    batches: Iterable[Sequence[int]]

    def __iter__(self) -> Iterator[list[tuple[int, ImageLocation]]]:
        return ([(number, self.paths.location(number)) for number in batch] for batch in self.batches)


def start_workers(
    images: ImageDataset,
    requests: Iterable[Sequence[tuple[int, ImageLocation]]],
    collate: Callable[[Sequence[Any]], Any],
    *,
    num_workers: int,
    pin_memory: bool = False,
) -> Iterator[Any]:
    """Starts worker processes that prefetch batches, two a worker.

    The DataLoader's SIGCHLD handler is removed: it would raise a worker's death in the main thread wherever that is,
    also in the caller's code between two batches. Without it the death is raised by ``next``.

    Args:
        images: Decodes the requests.
        requests: Numbers and locations of each batch's images.
        collate: Decoded images and failures of a batch -> what is yielded.
        num_workers: Processes; 0 decodes in this one.
        pin_memory: True to put pixels into page-locked memory.
    """
    loader = DataLoader(
        images,
        batch_sampler=requests,  # type: ignore[arg-type] # any iterable of lists will do
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_interrupts,
        generator=torch.Generator(),  # else the DataLoader would draw from the global one
    )
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)  # installs the handler
    signal.signal(signal.SIGCHLD, before)
    return batches


def is_worker_death(error: Exception) -> bool:
    """True if a worker process died: the DataLoader reports it, or the tensor it was sending was lost with it."""
    return not isinstance(error, RuntimeError) or str(error).startswith("DataLoader worker (pid")


def _ignore_interrupts(worker: int) -> None:
    """Ignores SIGINT in a worker: Ctrl-C reaches every process, and the parent, which saves first, ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
