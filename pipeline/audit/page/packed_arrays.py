"""Packing of arrays as base64 for a page's script, one byte a value."""

import base64
from typing import Any

import numpy as np

Packed = dict[str, Any]


def pack_maps(maps: np.ndarray) -> Packed:
    """Quantise maps to 255 steps from 0 to the highest value of each.

    Args:
        maps: Shares of the whole, at least 0, (n, G, G).

    Returns:
        ``levels``, the bytes as base64; ``top``, level 255 of each map, as a multiple of a uniform map's share.
    """
    n_cells = maps.shape[1] * maps.shape[2]
    cells = maps.reshape(len(maps), n_cells).astype(np.float64) * n_cells
    top = cells.max(1, initial=0)
    levels = np.round(255 * cells / np.where(top > 0, top, 1)[:, None]).astype(np.uint8)
    return {"levels": base64_bytes(levels), "top": [float(f"{value:.4g}") for value in top]}


def pack_points(points: np.ndarray, groups: np.ndarray) -> Packed:
    """Quantise points to 255 steps between the extremes of their group.

    Args:
        points: (n, 2), NaN where there is none.
        groups: Number of each point's group, (n,).

    Returns:
        ``x`` and ``y``, the bytes as base64; 255 where there is no point.
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
    """Encode the bytes of an array, little-endian, as base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
