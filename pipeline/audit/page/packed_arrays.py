"""Arrays as text that a page's script reads: a byte a value."""

import base64
from typing import Any

import numpy as np

Packed = dict[str, Any]


def pack_maps(maps: np.ndarray) -> Packed:
    """Maps in 255 steps from 0 to the highest value of each.

    Args:
        maps: Shares of the whole, at least 0, (n, G, G).

    Returns:
        ``levels``, the bytes as base64; ``top``, what 255 means for each map, as multiples of an even map's share.
    """
    even = maps.shape[1] * maps.shape[2]
    cells = maps.reshape(len(maps), even).astype(np.float64) * even
    top = cells.max(1, initial=0)
    levels = np.round(255 * cells / np.where(top > 0, top, 1)[:, None]).astype(np.uint8)
    return {"levels": base64_bytes(levels), "top": [float(f"{value:.4g}") for value in top]}


def pack_points(points: np.ndarray, groups: np.ndarray) -> Packed:
    """Points in 255 steps between the extremes of their group.

    Args:
        points: (n, 2), NaN where there is none.
        groups: Number of each point's group, (n,).

    Returns:
        ``x`` and ``y``, bytes as base64, where 255 says that there is none.
    """
    levels = np.full(points.shape, 255, np.uint8)
    for number in np.unique(groups):
        own = np.flatnonzero((groups == number) & np.isfinite(points).all(1))
        if len(own):
            low, high = points[own].min(0), points[own].max(0)
            width = np.where(high > low, high - low, 1)
            levels[own] = np.round(254 * (points[own] - low) / width)
    return {"x": base64_bytes(levels[:, 0]), "y": base64_bytes(levels[:, 1])}


def base64_bytes(array: np.ndarray) -> str:
    """The bytes of an array, little-endian, as base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
