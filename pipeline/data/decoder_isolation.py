"""Isolation of images: each is decoded in a process of its own, so that one that kills its process is found."""

import os
from collections import deque
from collections.abc import Iterator, Sequence

from pipeline.data.batch import Batch, Example, ImageDataset
from pipeline.data.decoding_workers import WORKER_ERRORS, PathList, is_worker_death, start_workers
from pipeline.data.image_paths import ImageLocation
from pipeline.errors import Failure, UsageError

MAX_TRIES = 3
"""Processes that an image may kill before it is recorded as a failure."""
MAX_KILLED_IN_A_ROW = 10
"""Consecutive images that kill their process, before the machine and not the images is taken for the cause."""
KILLED = "killed"
"""The stage of a failure whose image killed its process."""


def isolated_batches(images: ImageDataset, paths: PathList, waiting: deque[Sequence[int]]) -> Iterator[Batch]:
    """Decodes the waiting batches, and removes each from the queue; an image that kills its process is a failure.

    Args:
        images: Decodes an image.
        paths: Location of each image number.
        waiting: Image numbers of each batch.

    Raises:
        UsageError: `MAX_KILLED_IN_A_ROW` images killed their process, which points to too little memory.
    """
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


def _decode_isolated(images: ImageDataset, number: int, location: ImageLocation) -> Example | Failure:
    for _ in range(MAX_TRIES):
        try:
            example: Example | Failure = next(
                start_workers(images, [[(number, location)]], _only_example, num_workers=1)
            )
        except WORKER_ERRORS as error:
            if not is_worker_death(error):
                raise
        else:
            return example
    reason = f"the process that decoded it died {MAX_TRIES} times: a crash in the decoder, or too little memory"
    return Failure(number, KILLED, reason)


def _is_killed(example: Example | Failure) -> bool:
    return isinstance(example, Failure) and example.stage == KILLED


def _only_example(examples: Sequence[Example | Failure]) -> Example | Failure:
    return examples[0]
