"""Shortcut scores: regions, boxes and parts of the score, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.audit.clusters import Partition
from pipeline.audit.evidence import Shortcut
from pipeline.audit.pooled_maps import GRID
from pipeline.audit.shortcuts import (
    box_of_cells,
    cells_of_box,
    likeliest_shortcut,
    peak_region,
    place_score,
    with_score,
)


@pytest.mark.parametrize("shape", [(32, 32), (40, 56), (224, 224), (17, 299)])
def test_a_box_is_made_of_the_cells_that_it_was_made_of(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = (slice(*sorted(generator.choice(GRID + 1, 2, replace=False).tolist())) for _ in range(2))
        expected = np.zeros((GRID, GRID), bool)
        expected[rows, columns] = True
        np.testing.assert_array_equal(cells_of_box(box_of_cells(rows, columns, shape), shape), expected.ravel())


def square(*cells: tuple[slice, slice]) -> np.ndarray:
    """Maps (n, GRID * GRID) whose mass is spread over a square of cells."""
    maps = np.zeros((len(cells), GRID, GRID))
    for number, place in enumerate(cells):
        maps[number][place] = 1
    return maps.reshape(len(cells), -1) / maps.sum((1, 2))[:, None]


CORNER, MIDDLE = (slice(12, 14), slice(12, 14)), (slice(7, 9), slice(7, 9))


def test_place_is_the_excess_times_its_share() -> None:
    assert place_score(0.5, 0.0) == 0.5
    assert place_score(0.6, 0.2) == pytest.approx((0.6 - 0.2) / (1 - 0.2) * (1 - 0.2 / 0.6))
    assert place_score(0.2, 0.3) == 0 == place_score(0.0, 0.0)


def test_the_region_is_the_connected_peak_and_a_cell_around_it() -> None:
    contrast = square(CORNER)[0].reshape(GRID, GRID) + square(MIDDLE)[0].reshape(GRID, GRID) / 3
    assert peak_region(contrast) == (slice(11, 15), slice(11, 15))
    two = contrast.copy()
    two[7:9, 7:9] = contrast.max() * 0.9  # as high, but apart
    assert peak_region(two) == (slice(11, 15), slice(11, 15))
    wide = np.zeros((GRID, GRID))
    wide[2:10, 3:5] = 1
    assert peak_region(wide) == (slice(2, 10), slice(2, 6))  # half of the image high already


def test_a_cluster_can_be_more_suspicious_than_its_class() -> None:
    maps = np.concatenate([square(*[MIDDLE] * 8), square(*[CORNER] * 4)])
    others = square(MIDDLE)[0]
    cluster = np.repeat([0, 1], [8, 4])
    partition = Partition(np.zeros(3), cluster, np.zeros((12, 2)), np.full(12, 0.8))
    whole = likeliest_shortcut(maps, others, None, (32, 32))
    found = likeliest_shortcut(maps, others, partition, (32, 32))
    assert whole is not None and whole.cluster is None and found is not None
    assert (found.cluster, found.images, found.mass, found.elsewhere) == (1, 4, 1.0, 0.0)
    assert found.box == (22, 22, 30, 30) and found.place == 1 and found.apart == pytest.approx(0.8)
    assert found.score == pytest.approx((found.border + found.corner + 1 + 0.8) / 4) and found.score > whole.score
    assert likeliest_shortcut(maps[:2], others, None, (32, 32)) is None


def test_agreement_is_a_part_of_the_score() -> None:
    shortcut = Shortcut(0.0, 0.2, 0.4, 0.6, 0.0, None, 10, (0, 0, 8, 8), 0.5, 0.1)
    assert with_score(shortcut).score == pytest.approx(0.3)
    assert with_score(replace(shortcut, agreement=1.0)).score == pytest.approx(0.44)
