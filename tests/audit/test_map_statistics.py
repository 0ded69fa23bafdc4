"""Statistics of pooled maps with known answers."""

import numpy as np
import pytest

from pipeline.audit.map_statistics import (
    border_share,
    corner_shares,
    mean_pairwise_overlap,
    nearest_maps,
    normalised_entropy,
)
from pipeline.audit.pooled_maps import GRID

UNIFORM = np.full(GRID * GRID, 1 / GRID**2)


def single_cell(row: int, column: int) -> np.ndarray:
    cells = np.zeros((GRID, GRID))
    cells[row, column] = 1
    return cells.ravel()


def test_border_and_corners_of_a_uniform_map_are_their_areas() -> None:
    assert border_share(UNIFORM) == pytest.approx(1 - (3 / 4) ** 2)
    np.testing.assert_allclose(corner_shares(UNIFORM), (3 / 8) ** 2)


def test_border_and_corners_of_a_single_cell() -> None:
    assert border_share(single_cell(1, 8)) == 1 and border_share(single_cell(2, 2)) == 0
    assert corner_shares(single_cell(15, 0)).tolist() == [0, 0, 1, 0]
    assert corner_shares(single_cell(8, 8)).tolist() == [0, 0, 0, 0]


def test_overlap_is_the_mean_over_pairs() -> None:
    one, other = single_cell(0, 0), single_cell(3, 3)
    assert mean_pairwise_overlap(np.stack([one, one, one])) == pytest.approx(1)
    assert mean_pairwise_overlap(np.stack([one, one, other])) == pytest.approx(1 / 3)
    assert mean_pairwise_overlap(np.stack([one, UNIFORM])) == pytest.approx(1 / GRID)
    assert mean_pairwise_overlap(one[None]) is None


def test_entropy_is_relative_to_a_uniform_map() -> None:
    assert normalised_entropy(UNIFORM) == pytest.approx(1) and normalised_entropy(single_cell(5, 5)) == 0


def test_the_nearest_map_comes_first() -> None:
    one, other = single_cell(0, 0), single_cell(3, 3)
    mixed = (one + 3 * other) / 4
    assert nearest_maps(np.stack([one, mixed, other]), other, 2).tolist() == [2, 1]
