"""What the model saw of each image, 8 bits a channel: photographs, resized and cropped."""

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
from pipeline.export.excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.virtual_dataset import map_rows
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

FILE, DATA = "input.h5", "data"
_BATCH = 32


def write_inputs(excerpt: Excerpt, folder: Path, *, stop: StopRequest, num_workers: int) -> None:
    """Writes the photographs' pixels, uint8 (n, 3, H, W), and with their labels makes ``input.h5`` of them.

    An image that cannot be read is black.

    Raises:
        UsageError: Of a whole block none can be read.
    """
    missing = missing_parts(excerpt, folder, "input")
    with Progress(len(excerpt)) as progress:
        progress.found(len(excerpt) - sum(end - first for first, end in missing))
        photographs = _photographs(excerpt, missing, num_workers)
        for first, end in missing:
            stop.check()
            write_part(column_part_path(folder, "input", first), DATA, next(photographs), {})
            progress.add(end - first, failed=0)
    content = io.BytesIO()
    row = np.empty((0, 3, *_preprocessing(excerpt).crop), np.uint8)
    with h5py.File(content, "w", libver=("v110", "v110")) as file:
        map_rows(file, DATA, row, spans=part_spans(excerpt, "input"), shape=(len(excerpt), *row.shape[1:]), fill=0)
        file["label"] = excerpt.column("label")
    publish(content.getbuffer(), folder / FILE)


def _preprocessing(excerpt: Excerpt) -> Preprocessing:
    return Preprocessing.from_json(excerpt.run.manifest.preprocessing)


def _photographs(excerpt: Excerpt, blocks: list[tuple[int, int]], num_workers: int) -> Iterator[np.ndarray]:
    """The pixels of each block; those of the next are read meanwhile."""
    manifest, preprocessing, index = excerpt.run.manifest, _preprocessing(excerpt), excerpt.column("index")
    cuts = [range(first, end, _BATCH) for first, end in blocks]
    wanted = [index[start : min(start + _BATCH, cut.stop)] for cut in cuts for start in cut]
    batches = stream(
        manifest.root,
        manifest.paths,
        preprocessing,
        [images.tolist() for images in wanted],
        num_workers=num_workers,
        pin_memory=False,
    )
    for cut in cuts:
        pixels, lost = np.zeros((len(range(cut.start, cut.stop)), 3, *preprocessing.crop), np.uint8), list[Failure]()
        for _, batch in zip(cut, batches, strict=False):
            pixels[np.searchsorted(index[cut.start : cut.stop], batch.index)] = batch.pixels.numpy()
            lost += batch.failures
        if lost:
            _report(excerpt, lost, len(pixels))
        yield pixels


def _report(excerpt: Excerpt, lost: list[Failure], count: int) -> None:
    path = os.fsdecode(excerpt.run.manifest.path(lost[0].index))
    if len(lost) == count:
        raise UsageError(
            f"the photographs are not at hand ({path}: {lost[0].error}), and ViRelAy shows maps over them: "
            "put them where the run found them"
        )
    log.warning("%d photographs cannot be read, such as %s: they are black", len(lost), path)
