"""Export as 16-bit grey PNG files, with a table of the scales that give the values back."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.export.export_folder import claim
from pipeline.export.run_excerpt import Excerpt
from pipeline.report.render import picture_name
from pipeline.store.atomic import publish
from pipeline.store.explanation import Explanation
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

TABLE = "maps.csv"
ZERO, STEPS = 32768, 32767
"""Grey level of the value 0, and number of levels between it and the scale."""
_COLUMNS = ("file", "path", "image", "label", "target", "class_name", "predicted", "score", "scale")


def write_png(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> Path:
    """Writes a 16-bit picture for each map, summed over channels, and last the table ``maps.csv``.

    value = (grey - 32768) * scale / 32767, where the scale is the map's largest magnitude; the quantisation error is at
    most half a step, scale / 65534. Existing pictures are kept; if the table exists, the export is complete.

    Returns:
        The table.
    """
    claim(folder, excerpt, "png")
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    with Progress(len(excerpt)) as progress:
        if (folder / TABLE).exists():
            progress.add_existing(len(excerpt))
            return folder / TABLE
        for explanation in excerpt.explanations():
            stop.check()
            path = folder / picture_name(excerpt.run, explanation)
            map_ = explanation.map.sum(0, dtype=np.float32)
            scale = np.abs(map_).max()
            if not path.exists():
                publish(_encode_png(map_, float(scale)), path)
            writer.writerow(_table_row(excerpt, explanation, path.name, scale))
            progress.add(1, failed=0)
    publish(table.getvalue().encode("utf-8", "backslashreplace"), folder / TABLE)
    return folder / TABLE


def grey(map_: np.ndarray, scale: float) -> np.ndarray:
    """Quantises a map (H, W) to uint16 grey levels; the value 0 is `ZERO`, also in a map of zeros."""
    levels = np.rint(map_.astype(np.float64) * (STEPS / scale)) if scale else np.zeros(map_.shape)
    return (levels + ZERO).astype(np.uint16)


def _encode_png(map_: np.ndarray, scale: float) -> memoryview:
    stream = io.BytesIO()
    Image.fromarray(grey(map_, scale)).save(stream, "png")
    return stream.getbuffer()


def _table_row(excerpt: Excerpt, explanation: Explanation, name: str, scale: np.float32) -> list[object]:
    return [
        name,
        os.fsdecode(excerpt.run.manifest.paths[explanation.index]),
        explanation.index,
        explanation.label,
        explanation.target,
        explanation.class_name,
        explanation.predicted,
        f"{explanation.score:.9g}",
        f"{scale:.9g}",
    ]
