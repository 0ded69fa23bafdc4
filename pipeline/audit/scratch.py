"""An array of a row an image that lies on the disk."""

import tempfile

import numpy as np


def scratch(rows: int, width: int) -> np.ndarray:
    """Zeros (rows, width) float32 in a temporary file that is gone when the array is; memory does not grow with it."""
    if not rows * width:
        return np.empty((rows, width), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=(rows, width))
