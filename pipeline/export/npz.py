"""Export as NumPy .npz files: all columns of the store, maps at the model's input size."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine.geometry import Pixels
from pipeline.export.export_folder import claim
from pipeline.export.run_excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.schema import canonical_json
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest


def write_npz(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> Path:
    """Writes ``rows-FIRST-LAST.npz`` for each block of rows; existing files are kept.

    Maps of a coarser native grid are compressed; gradients are not, since they do not compress.

    Returns:
        The folder.
    """
    claim(folder, excerpt, "npz")
    save = np.savez if isinstance(excerpt.reader.geometry, Pixels) else np.savez_compressed
    attributes = np.array(canonical_json(excerpt.attributes))
    digits = len(str(len(excerpt) - 1))
    with Progress(len(excerpt)) as progress:
        for first, end in excerpt.blocks():
            stop.check()
            path = folder / f"rows-{first:0{digits}d}-{end - 1:0{digits}d}.npz"
            if path.exists():
                progress.add_existing(end - first)
                continue
            stream = io.BytesIO()
            columns: dict[str, Any] = {**excerpt.read(first, end), "attributes": attributes}
            save(stream, **columns)
            publish(stream.getbuffer(), path)
            progress.add(end - first, failed=0)
    return folder
