"""The rows of a run as NumPy's own files: all columns, maps at the model's input size."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine.geometry import Pixels
from pipeline.export.claim import claim
from pipeline.export.excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.schema import canonical_json
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest


def write_npz(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> Path:
    """Writes ``rows-FIRST-LAST.npz`` for each block of rows; those that are there are left.

    Maps that were computed on a coarser grid are compressed; gradients would not become smaller.

    Returns:
        The folder.
    """
    claim(folder, excerpt, "npz")
    save = np.savez if isinstance(excerpt.source.geometry, Pixels) else np.savez_compressed
    attributes = np.array(canonical_json(excerpt.attributes))
    digits = len(str(len(excerpt) - 1))
    with Progress(len(excerpt)) as progress:
        for first, end in excerpt.ranges():
            stop.check()
            path = folder / f"rows-{first:0{digits}d}-{end - 1:0{digits}d}.npz"
            if path.exists():
                progress.found(end - first)
                continue
            stream = io.BytesIO()
            columns: dict[str, Any] = {**excerpt.read(first, end), "attributes": attributes}
            save(stream, **columns)
            publish(stream.getbuffer(), path)
            progress.add(end - first, failed=0)
    return folder
