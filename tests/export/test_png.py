"""The export as 16-bit PNG files: the table's scales give the values back."""

import csv

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.export import export
from pipeline.export.png import STEPS, ZERO, grey
from tests.export.conftest import KEPT, WriteRun
from tests.export.resuming import interrupted_export, modification_times


def test_pictures_and_table_give_the_values_back(write_run: WriteRun) -> None:
    run = pipeline.open_run(write_run(KEPT, dtype="float32"))
    folder = interrupted_export(run, "png", checks=13)
    before = modification_times(folder)
    assert len(before) == 13
    path = export(run, "png")
    assert modification_times(folder).items() > before.items()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == len(run) == len(list(folder.glob("*.png")))
    for row, explanation in zip(rows, run, strict=True):
        with Image.open(folder / row["file"]) as picture:
            assert picture.mode == "I;16"
            levels = np.asarray(picture).astype(np.float64)
        scale, map_ = float(row["scale"]), explanation.map.sum(0)
        assert levels.max() == ZERO + STEPS or levels.min() == ZERO - STEPS
        assert np.abs((levels - ZERO) * scale / STEPS - map_).max() <= scale / (2 * STEPS) * 1.001
        identity = [row["path"].rpartition("/")[2], int(row["image"]), int(row["target"]), row["class_name"]]
        assert identity == [explanation.path.name, explanation.index, explanation.target, explanation.class_name]
        assert np.float32(row["score"]) == np.float32(explanation.score)
    complete = modification_times(folder)
    export(run, "png")
    assert modification_times(folder) == complete


def test_zero_is_the_middle_level() -> None:
    assert np.all(grey(np.zeros((2, 2), np.float32), 0.0) == ZERO)
    assert grey(np.array([[-2, 0, 2]], np.float32), 2.0).tolist() == [[1, 32768, 65535]]


@pytest.mark.parametrize("scale", [1e-30, 3.7, 1e30])
def test_quantisation_loses_at_most_half_a_step(scale: float) -> None:
    map_ = (np.random.default_rng(0).uniform(-1, 1, (30, 30)) * scale).astype(np.float32)
    scale = float(np.abs(map_).max())
    values = (grey(map_, scale).astype(np.float64) - ZERO) * scale / STEPS
    assert np.abs(values - map_).max() <= scale / (2 * STEPS) * (1 + 1e-9)
