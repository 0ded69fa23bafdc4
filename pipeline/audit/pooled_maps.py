"""Pooling of maps to shares of positive mass on a coarse grid, on which maps of many images compare."""

import tempfile
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from pipeline.audit.image_table import ImageTable
from pipeline.engine.geometry import Geometry

GRID = 16
"""Cells along each side."""
SMOOTHING = 1.0
"""Standard deviation of the Gaussian in cells; it is truncated at two standard deviations."""
_MAPS_AT_ONCE = 64


def pool(maps: Tensor) -> Tensor:
    """Pool maps: sum over channels, average in cells, smooth, and take each cell's share of the positive part.

    Averaging before taking the positive part lets the positive and negative noise of gradient maps cancel in a cell, as
    it does in the score.

    Args:
        maps: (n, C, H, W).

    Returns:
        (n, GRID, GRID) float32; each sums to 1, or is 0 if the map has no positive part.
    """
    averaged = nn.functional.adaptive_avg_pool2d(maps.float().sum(1, keepdim=True), GRID)
    cells = gaussian_blur(averaged, [5, 5], [SMOOTHING, SMOOTHING])[:, 0].clamp(min=0)
    whole = cells.sum((1, 2), keepdim=True)
    return torch.where(whole > 0, cells / whole.where(whole > 0, 1), 0)


def pooled_maps(images: ImageTable) -> np.ndarray:
    """Read and pool the maps of all images, shard by shard.

    Returns:
        (n, GRID * GRID) float32, in a temporary file.

    Raises:
        NotSpatial: The maps have no place in the image.
    """
    geometry = images.source.geometry
    array = temporary_array(len(images), GRID * GRID)
    for shard, positions in images.shards():
        for part in np.split(positions, range(_MAPS_AT_ONCE, len(positions), _MAPS_AT_ONCE)):
            array[part] = _read(images, shard, part, geometry)
    return array


def _read(images: ImageTable, shard: int, positions: np.ndarray, geometry: Geometry) -> np.ndarray:
    rows = images.place[positions]
    first, end = int(rows[0]), int(rows[-1]) + 1
    selection = slice(first, end) if end - first == len(rows) else rows  # h5py reads a slice much faster
    stored = torch.from_numpy(images.source.read(shard, "attribution", selection))
    cells: np.ndarray = pool(geometry.expand(stored)).flatten(1).numpy()  # shares do not depend on the row's scale
    return cells


def class_means(groups: Mapping[int, np.ndarray], maps: np.ndarray) -> dict[int, np.ndarray]:
    """Mean map of each class with a non-empty map, float64 (GRID * GRID,), sums to 1.

    Args:
        groups: Positions of each class's images.
        maps: Pooled, (n, GRID * GRID).
    """
    sums = {number: maps[positions].sum(0, dtype=np.float64) for number, positions in groups.items()}
    return {number: whole / whole.sum() for number, whole in sums.items() if whole.any()}


def mean_of_others(means: Mapping[int, np.ndarray], number: int) -> np.ndarray:
    """Mean of the other classes' mean maps; a uniform map if there are none."""
    rest = [mean for other, mean in means.items() if other != number]
    return np.full(GRID * GRID, 1 / GRID**2) if not rest else np.asarray(sum(rest) / len(rest))


def temporary_array(rows: int, width: int) -> np.ndarray:
    """Zeros (rows, width) float32, memory-mapped to a temporary file that lives as long as the array."""
    if not rows * width:
        return np.empty((rows, width), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(rows, width))
