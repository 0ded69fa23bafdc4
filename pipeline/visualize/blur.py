"""Gaussian smoothing: single pixels' attributions are too fine and too mixed in sign to be seen over a photograph."""

import numpy as np

from pipeline.visualize.scale import Values


def blur(values: Values, deviation: float) -> Values:
    """Smooths (H, W) with a Gaussian whose weights, cut at the border, sum to one.

    Args:
        values: (H, W).
        deviation: Standard deviation in pixels, above 0.
    """
    down, right = (_weights(length, deviation) for length in values.shape)
    smooth: Values = down @ values @ right.T
    return smooth


def _weights(length: int, deviation: float) -> Values:
    place = np.arange(length)
    weights: Values = np.exp(-0.5 * ((place[:, None] - place) / deviation) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights
