"""A sample of a run's maps, read once, bounded however many there are."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.engine.geometry import NotSpatial
from pipeline.report.sample_rows import spread_rows
from pipeline.store.reader import Run

MAPS_READ = 2048
MAPS_PER_CLASS = 16
BORDER = 1 / 16  # of each side
BORDER_AREA = 1 - (1 - 2 * BORDER) ** 2  # which is what an even map has there
CELLS = 28


@dataclass(frozen=True)
class MapSample:
    """What a sample of the maps shows.

    Attributes:
        read: How many were read.
        zero: How many are zero everywhere.
        on_border: How many have most of their magnitude in the outer `BORDER` of each side.
        means: Mean share of the magnitude in each cell of a coarse grid, by class; float64 (`CELLS`, `CELLS`).
    """

    read: int
    zero: int
    on_border: int
    means: dict[int, np.ndarray]


def sample_maps(run: Run, groups: np.ndarray) -> MapSample:
    """Reads some maps of each class.

    Args:
        run: All rows.
        groups: Class of each row, (n,).
    """
    rows = spread_rows(groups, min(MAPS_READ, MAPS_PER_CLASS * len(np.unique(groups))))
    zero = on_border = 0
    coarse: dict[int, list[np.ndarray]] = {}
    for row in rows.tolist():
        try:
            magnitude = np.abs(run[row].map.sum(0, dtype=np.float64))
        except NotSpatial:  # nor have the others
            return MapSample(0, 0, 0, {})
        if not magnitude.any():
            zero += 1
            continue
        magnitude /= magnitude.sum()
        on_border += _on_border(magnitude) > 0.5
        coarse.setdefault(int(groups[row]), []).append(_coarse(magnitude))
    return MapSample(len(rows), zero, on_border, {number: np.mean(maps, axis=0) for number, maps in coarse.items()})


def _on_border(shares: np.ndarray) -> float:
    height, width = shares.shape
    top, left = round(height * BORDER), round(width * BORDER)
    return float(1 - shares[top : height - top, left : width - left].sum())


def _coarse(shares: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(shares.astype(np.float32))
    return np.asarray(picture.resize((CELLS, CELLS), Image.Resampling.BOX), np.float64)
