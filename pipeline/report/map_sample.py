"""Statistics over a sample of a run's maps: each read once, their number bounded however large the run is."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.engine.geometry import NotSpatial
from pipeline.report.sample_rows import spread_rows
from pipeline.store.reader import Run

MAPS_READ = 2048
MAPS_PER_CLASS = 16
BORDER = 1 / 16  # of each side
BORDER_AREA = 1 - (1 - 2 * BORDER) ** 2  # share of the image's area, and of an even map
CELLS = 28


@dataclass(frozen=True)
class MapSample:
    """Statistics over a sample of the maps.

    Attributes:
        read: Number of maps read.
        zero: Number of them that are zero everywhere.
        on_border: Number of them with most of their magnitude in the outer `BORDER` of each side.
        means: Mean share of the magnitude in each cell of a coarse grid, by class; float64 (`CELLS`, `CELLS`).
    """

    read: int
    zero: int
    on_border: int
    means: dict[int, np.ndarray]


def sample_maps(run: Run, classes: np.ndarray) -> MapSample:
    """Reads maps of each class, at most `MAPS_PER_CLASS` of it on average and `MAPS_READ` in all.

    Args:
        run: All rows.
        classes: Class of each row, (n,).
    """
    rows = spread_rows(classes, min(MAPS_READ, MAPS_PER_CLASS * len(np.unique(classes))))
    zero = on_border = 0
    grids: dict[int, list[np.ndarray]] = {}
    for row in rows.tolist():
        try:
            magnitude = np.abs(run[row].map.sum(0, dtype=np.float64))
        except NotSpatial:  # all maps of a run have the same geometry
            return MapSample(0, 0, 0, {})
        if not magnitude.any():
            zero += 1
            continue
        magnitude /= magnitude.sum()
        on_border += _border_share(magnitude) > 0.5
        grids.setdefault(int(classes[row]), []).append(_coarse_grid(magnitude))
    return MapSample(len(rows), zero, on_border, {number: np.mean(maps, axis=0) for number, maps in grids.items()})


def _border_share(shares: np.ndarray) -> float:
    height, width = shares.shape
    top, left = round(height * BORDER), round(width * BORDER)
    return float(1 - shares[top : height - top, left : width - left].sum())


def _coarse_grid(shares: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(shares.astype(np.float32))
    return np.asarray(picture.resize((CELLS, CELLS), Image.Resampling.BOX), np.float64)
