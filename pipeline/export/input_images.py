"""Input images of the model in 8 bits a channel: photographs, resized and cropped, in ViRelAy's input.h5."""

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from pipeline.data.preprocessing import Preprocessing
from pipeline.data.stream import stream
from pipeline.errors import Failure, UsageError
from pipeline.export.column_parts import column_part_path, missing_parts, part_spans, write_part
from pipeline.export.run_excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import LIBVER
from pipeline.store.virtual_dataset import create_virtual_dataset
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

FILE, DATA = "input.h5", "data"
_BATCH = 32


def write_inputs(excerpt: Excerpt, folder: Path, *, stop: StopRequest, num_workers: int) -> None:
    """Writes the preprocessed pixels, uint8 (n, 3, H, W), in parts, and ``input.h5`` over them, with the labels.

    An unreadable image is black.

    Raises:
        UsageError: No image of a block can be read.
    """
    missing = missing_parts(excerpt, folder, "input")
    with Progress(len(excerpt)) as progress:
        progress.add_existing(len(excerpt) - sum(end - first for first, end in missing))
        photographs = _decode_blocks(excerpt, missing, num_workers)
        for first, end in missing:
            stop.check()
            write_part(column_part_path(folder, "input", first), DATA, next(photographs), {})
            progress.add(end - first, failed=0)
    content = io.BytesIO()
    row = np.empty((0, 3, *_preprocessing(excerpt).crop), np.uint8)
    with h5py.File(content, "w", libver=LIBVER) as file:
        create_virtual_dataset(
            file, DATA, row, spans=part_spans(excerpt, "input"), shape=(len(excerpt), *row.shape[1:]), fill=0
        )
        file["label"] = excerpt.column("label")
    publish(content.getbuffer(), folder / FILE)


def _preprocessing(excerpt: Excerpt) -> Preprocessing:
    return Preprocessing.from_json(excerpt.run.manifest.preprocessing)


def _decode_blocks(excerpt: Excerpt, blocks: list[tuple[int, int]], num_workers: int) -> Iterator[np.ndarray]:
    """Decodes the pixels of each block, (rows, 3, H, W); worker processes prefetch those of the next."""
    manifest, preprocessing, index = excerpt.run.manifest, _preprocessing(excerpt), excerpt.column("index")
    batch_starts = [range(first, end, _BATCH) for first, end in blocks]  # of each block
    numbers = [index[start : min(start + _BATCH, starts.stop)] for starts in batch_starts for start in starts]
    batches = stream(
        manifest.root,
        manifest.paths,
        preprocessing,
        [images.tolist() for images in numbers],
        num_workers=num_workers,
        pin_memory=False,
    )
    for starts in batch_starts:
        rows = slice(starts.start, starts.stop)
        pixels, failures = np.zeros((len(index[rows]), 3, *preprocessing.crop), np.uint8), list[Failure]()
        for _, batch in zip(starts, batches, strict=False):
            pixels[np.searchsorted(index[rows], batch.index)] = batch.pixels.numpy()
            failures += batch.failures
        if failures:
            _report_failures(excerpt, failures, len(pixels))
        yield pixels


def _report_failures(excerpt: Excerpt, failures: list[Failure], count: int) -> None:
    path = os.fsdecode(excerpt.run.manifest.path(failures[0].index))
    if len(failures) == count:
        raise UsageError(
            f"the photographs cannot be read ({path}: {failures[0].error}), and ViRelAy shows maps over them: "
            "restore them where the run read them"
        )
    log.warning("%d photographs cannot be read, such as %s: they are black", len(failures), path)
