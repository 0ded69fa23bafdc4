"""Gaussian blur of a map: attributions of single pixels are too fine and too mixed in sign to be seen over an image."""

import numpy as np

from pipeline.visualize.scale import Values


def blur(values: Values, deviation: float) -> Values:
    """Blur (H, W) with a Gaussian whose weights, cut at the border, sum to one: a constant map stays constant.

    Args:
        values: (H, W).
        deviation: Standard deviation in pixels, above 0.
    """
    down, across = (_weights(length, deviation) for length in values.shape)  # the Gaussian is separable
    blurred: Values = down @ values @ across.T
    return blurred


def _weights(length: int, deviation: float) -> Values:
    """Weights (length, length) of every pixel in each blurred pixel, along one axis."""
    position = np.arange(length)
    weights: Values = np.exp(-0.5 * ((position[:, None] - position) / deviation) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights
