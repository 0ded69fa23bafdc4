"""Noisy linear imputation as the authors of ROAD solve it: one sparse system an image."""

import numpy as np
from scipy.sparse import csc_matrix, lil_matrix
from scipy.sparse.linalg import spsolve

AROUND = {(i, j): 1 / 6 if 0 in (i, j) else 1 / 12 for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)}


def solve_imputation(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """``NoisyLinearImputer`` without its noise: image (C, H, W), missing (H, W)."""
    height, width = missing.shape
    number = {tuple(place): i for i, place in enumerate(np.argwhere(missing).tolist())}
    matrix, right = lil_matrix((len(number), len(number))), np.zeros((len(number), len(image)))
    for (row, column), i in number.items():
        there = {
            (row + a, column + b): w
            for (a, b), w in AROUND.items()
            if 0 <= row + a < height and 0 <= column + b < width
        }
        matrix[i, i] = sum(there.values())
        for (a, b), weight in there.items():
            if (a, b) in number:
                matrix[i, number[a, b]] = -weight
            else:
                right[i] += weight * image[:, a, b]
    filled = image.copy()
    filled[:, missing] = spsolve(csc_matrix(matrix), right).reshape(len(number), -1).T
    return filled
