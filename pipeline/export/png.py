"""Maps as grey pictures without loss, and a table that says how to get the values back."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.export.claim import claim
from pipeline.export.excerpt import Excerpt
from pipeline.report.render import picture_name
from pipeline.store.atomic import publish
from pipeline.store.explanation import Explanation
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

TABLE = "maps.csv"
ZERO, STEPS = 32768, 32767
"""The grey that means 0, and how many lie between it and the scale."""
_HEAD = ("file", "path", "image", "label", "target", "class_name", "predicted", "score", "scale")


def write_png(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> Path:
    """Writes a 16-bit picture for each map, summed over channels, and last the table ``maps.csv``.

    value = (grey - 32768) * scale / 32767, where the scale is the map's largest magnitude: half a step, scale / 65534,
    is the most that is lost. Pictures that are there are left; all of it if the table is.

    Returns:
        The table.
    """
    claim(folder, excerpt, "png")
    table = io.StringIO(newline="")
    lines = csv.writer(table)
    lines.writerow(_HEAD)
    with Progress(len(excerpt)) as progress:
        if (folder / TABLE).exists():
            progress.found(len(excerpt))
            return folder / TABLE
        for explanation in excerpt.explanations():
            stop.check()
            path = folder / picture_name(excerpt.run, explanation)
            map_ = explanation.map.sum(0, dtype=np.float32)
            scale = np.abs(map_).max()
            if not path.exists():
                publish(_picture(map_, float(scale)), path)
            lines.writerow(_line(excerpt, explanation, path.name, scale))
            progress.add(1, failed=0)
    publish(table.getvalue().encode("utf-8", "backslashreplace"), folder / TABLE)
    return folder / TABLE


def grey(map_: np.ndarray, scale: float) -> np.ndarray:
    """A map (H, W) as uint16 levels; 0 is ``ZERO``, also where all is 0."""
    levels = np.rint(map_.astype(np.float64) * (STEPS / scale)) if scale else np.zeros(map_.shape)
    return (levels + ZERO).astype(np.uint16)


def _picture(map_: np.ndarray, scale: float) -> memoryview:
    stream = io.BytesIO()
    Image.fromarray(grey(map_, scale)).save(stream, "png")
    return stream.getbuffer()


def _line(excerpt: Excerpt, explanation: Explanation, name: str, scale: np.float32) -> list[object]:
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
