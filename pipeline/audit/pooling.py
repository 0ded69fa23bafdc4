"""Maps -> shares of what speaks for the class on a coarse grid: the form in which maps of many images compare."""

import tempfile
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from pipeline.audit.image_table import Images
from pipeline.engine.geometry import Geometry

GRID = 16
"""Cells along a side."""
SMOOTHING = 1.0
"""Standard deviation in cells; the Gaussian is cut at two of them."""
_MAPS_AT_ONCE = 64


def pool(maps: Tensor) -> Tensor:
    """Maps summed over channels, averaged in cells and smoothed over neighbours; the positive part, as shares of all.

    Averaged first: in a cell of a gradient's map, what speaks for the class and against it cancels as it does in the
    score, and what is left of the noise is below what images have in common.

    Args:
        maps: (n, C, H, W).

    Returns:
        (n, GRID, GRID) float32; a row sums to 1, or is 0 where the map has no positive part.
    """
    averaged = nn.functional.adaptive_avg_pool2d(maps.float().sum(1, keepdim=True), GRID)
    cells = gaussian_blur(averaged, [5, 5], [SMOOTHING, SMOOTHING])[:, 0].clamp(min=0)
    whole = cells.sum((1, 2), keepdim=True)
    return torch.where(whole > 0, cells / whole.where(whole > 0, 1), 0)


def pooled(images: Images) -> np.ndarray:
    """The pooled maps of all images, read once, shard by shard.

    Returns:
        (n, GRID * GRID) float32, in a temporary file.

    Raises:
        NotSpatial: The maps belong nowhere in the image.
    """
    geometry = images.source.geometry
    array = scratch(len(images), GRID * GRID)
    for shard, positions in images.shards():
        for part in np.split(positions, range(_MAPS_AT_ONCE, len(positions), _MAPS_AT_ONCE)):
            array[part] = _read(images, shard, part, geometry)
    return array


def _read(images: Images, shard: int, positions: np.ndarray, geometry: Geometry) -> np.ndarray:
    rows = images.place[positions]
    first, end = int(rows[0]), int(rows[-1]) + 1
    wanted = slice(first, end) if end - first == len(rows) else rows
    stored = torch.from_numpy(images.source.read(shard, "attribution", wanted))
    cells: np.ndarray = pool(geometry.expand(stored)).flatten(1).numpy()  # shares do not depend on the row's scale
    return cells


def class_means(groups: Mapping[int, np.ndarray], maps: np.ndarray) -> dict[int, np.ndarray]:
    """Mean map of each class that has one, float64 (GRID * GRID,), sums to 1.

    Args:
        groups: Positions of each class's images.
        maps: Pooled, (n, GRID * GRID).
    """
    sums = {number: maps[positions].sum(0, dtype=np.float64) for number, positions in groups.items()}
    return {number: whole / whole.sum() for number, whole in sums.items() if whole.any()}


def others(means: Mapping[int, np.ndarray], number: int) -> np.ndarray:
    """Mean of the other classes' mean maps; an even map where there are none."""
    rest = [mean for other, mean in means.items() if other != number]
    return np.full(GRID * GRID, 1 / GRID**2) if not rest else np.asarray(sum(rest) / len(rest))


def scratch(rows: int, width: int) -> np.ndarray:
    """Zeros (rows, width) float32 in a temporary file that is gone when the array is; memory does not grow with it."""
    if not rows * width:
        return np.empty((rows, width), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(rows, width))
