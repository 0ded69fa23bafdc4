"""Image files -> decoded batches, in order, by worker processes that prefetch.

A worker process that is killed (by the out-of-memory killer, or a crash in a decoder) is started again. After
`MAX_WORKER_DEATHS` in a row the images of the waiting batches are isolated.
"""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pipeline.data.batch import Batch, ImageDataset
from pipeline.data.decoder_isolation import isolated_batches
from pipeline.data.decoding_workers import WORKER_ERRORS, PathList, Requests, is_worker_death, start_workers
from pipeline.data.preprocessing import Preprocessing

log = logging.getLogger(__name__)

MAX_WORKER_DEATHS = 3
"""Deaths in a row of workers while one batch is waited for, before its images are isolated."""


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
    images = ImageDataset(os.fsencode(root), preprocessing)
    numbers, waiting, deaths = iter(batches), deque[Sequence[int]](), 0
    while True:
        requests = Requests(paths, chain(tuple(waiting), _queued(numbers, waiting)))
        try:
            for batch in start_workers(
                images, requests, images.collate, num_workers=num_workers, pin_memory=pin_memory
            ):
                waiting.popleft()
                deaths = 0
                yield batch
        except WORKER_ERRORS as error:
            if not is_worker_death(error):
                raise
            deaths += 1
            first = os.fsdecode(paths.location(waiting[0][0]).path) if waiting else "the last"
            if deaths < MAX_WORKER_DEATHS:
                log.warning("a decoding process was killed: started again, from %r on", first)
                continue
            log.warning("decoding processes were killed %d times: from %r on one image at a time", deaths, first)
            for batch in isolated_batches(images, paths, waiting):
                yield batch.pin_memory() if pin_memory else batch
            deaths = 0
        else:
            return


def _queued(batches: Iterator[Sequence[int]], waiting: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
    """Passes batches to the workers and queues them, so that new workers can prefetch them again."""
    for batch in batches:
        waiting.append(batch)
        yield batch
