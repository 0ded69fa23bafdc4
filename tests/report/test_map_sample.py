"""Statistics over a sample of the maps, with known maps."""

import numpy as np
import pytest

from pipeline import open_run
from pipeline.report import map_sample
from pipeline.report.map_sample import BORDER, BORDER_AREA, CELLS, sample_maps

from .conftest import HEIGHT, LABELS, WIDTH, MakeRun


def test_maps_of_zeros_and_maps_on_the_border_are_counted(make_run: MakeRun) -> None:
    sample = sample_maps(open_run(make_run()), LABELS[:7])
    assert (sample.read, sample.zero, sample.on_border) == (7, 1, 1)
    assert set(sample.means) == {0, 1, 2}
    assert sample.means[0].argmax() < CELLS  # the top row, where all of image 1's map lies
    assert sample.means[0].shape == (CELLS, CELLS)


def test_the_mean_of_a_class_is_that_of_its_maps(make_run: MakeRun) -> None:
    run = open_run(make_run())
    each, together = sample_maps(run, np.arange(7)).means, sample_maps(run, np.array([9, 9, 9, 1, 1, 1, 1])).means
    np.testing.assert_allclose(together[1], np.mean([each[row] for row in (3, 4, 5, 6)], axis=0))
    np.testing.assert_allclose(together[9], np.mean([each[row] for row in (1, 2)], axis=0))  # map 0 is zero
    assert 0 not in each


def test_the_border_of_an_even_map_is_its_area() -> None:
    side = 160
    inside = side - 2 * round(side * BORDER)
    assert 1 - inside**2 / side**2 == BORDER_AREA


def test_the_number_of_maps_read_is_bounded(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_sample, "MAPS_READ", 3)
    assert sample_maps(open_run(make_run()), LABELS[:7]).read == 3


def test_maps_without_a_place_in_the_image_are_not_sampled(make_run: MakeRun) -> None:
    geometry = {"kind": "units", "shape": [3, HEIGHT, WIDTH], "layer": [5], "channels": "keep"}
    sample = sample_maps(open_run(make_run(attributes={"geometry": geometry})), LABELS[:7])
    assert (sample.read, sample.zero, sample.on_border, sample.means) == (0, 0, 0, {})
