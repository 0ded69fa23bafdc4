import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.store.manifest import freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from pipeline.visualize import Panel, draw
from tests.store import synthetic

EXPLAINED = [image for image in range(50) if image not in synthetic.FAILED]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    synthetic.write(run, targets=2, shard_size=5)
    return run


@pytest.fixture
def run(folder):
    return pipeline.open_run(folder)


def test_an_explanation_has_the_values_that_the_writer_was_given(run):
    given = synthetic.rows([13], targets=2).columns
    explanation = run[2 * EXPLAINED.index(13)]
    assert (explanation.index, explanation.label, explanation.target) == (13, 3, 1)
    assert explanation.path == Path("/data/class3/image0013.png")
    assert explanation.class_name == "class 1"
    np.testing.assert_array_equal(explanation.prediction, given["prediction"][0])
    assert explanation.predicted == given["predicted"][0]
    assert (explanation.score, explanation.baseline_score, explanation.evaluations) == (13, 0.5, 50)
    assert explanation.convergence_delta == np.float32(0.13)
    assert np.isnan(run[2 * EXPLAINED.index(14)].convergence_delta)
    assert explanation.error_estimate == np.float32(0.013)
    assert np.isnan(run[2 * EXPLAINED.index(14)].error_estimate)
    assert explanation.crop == (12, 16, 0, 0, 12, 16)
    assert "image0013.png" in repr(explanation)


def test_float16_maps_have_an_error_of_a_2048th_of_their_maximum_at_most(run):
    for number in range(0, len(run), 7):
        explanation = run[number]
        true = synthetic.maps(explanation.index, 2)[number % 2]
        assert explanation.map.dtype == explanation.native.dtype == np.float32
        assert explanation.map.shape == synthetic.SHAPE
        assert np.abs(explanation.map - true).max() <= 2**-11 * np.abs(true).max()


def test_zero_maps_stay_zero(run):
    assert run[0].index == 0
    assert not run[0].map.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float32_and_float64_maps_are_read_back_exactly(tmp_path, dtype):
    synthetic.write(tmp_path, dtype=dtype)
    explanation = pipeline.open_run(tmp_path)[10]
    np.testing.assert_array_equal(explanation.map, synthetic.maps(explanation.index, 1)[0])
    assert (explanation.native.dtype, explanation.map.dtype) == (dtype, "float32")


def test_a_grid_of_windows_is_expanded(tmp_path):
    manifest = freeze_manifest(tmp_path, synthetic.manifest())
    geometry = {
        "kind": "windows", "shape": [3, 6, 8], "window": [3, 2, 2], "strides": [3, 2, 2], "channels": "sum",
    }  # fmt: skip
    rows = synthetic.rows(range(10))
    grids = np.arange(8 * 12, dtype=np.float16).reshape(8, 1, 3, 4)
    with Writer(tmp_path, manifest, attributes={**synthetic.ATTRIBUTES, "geometry": geometry}) as writer:
        writer.add(Rows({**rows.columns, "attribution": grids, "scale": np.full(8, 2, np.float32)}, rows.failures))
    explanation = pipeline.open_run(tmp_path)[3]
    np.testing.assert_array_equal(explanation.native, grids[3] * 2)
    expected = np.kron(grids[3, 0].astype(np.float32) * 2, np.ones((2, 2))) * 3  # summed over 3 equal channels
    np.testing.assert_allclose(explanation.map, expected[None], rtol=1e-6)


def test_the_picture_shows_the_model_input(tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    manifest = freeze_manifest(
        run, synthetic.manifest(root=os.fsencode(root))
    )  # resizes by half, then cuts out the middle
    rows = synthetic.rows(range(10), failed=())
    rows.columns["attribution"][:] = 0
    with Writer(run, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(rows)
    explanation = pipeline.open_run(run)[4]
    assert explanation.show().size == (8, 6)  # without the image
    explanation.path.parent.mkdir(parents=True)
    picture = Image.new("RGB", (40, 30), "black")
    picture.paste("white", (10, 6, 30, 22))
    picture.save(explanation.path)
    assert np.asarray(explanation.show()).min() > 250


def test_the_picture_takes_panels_or_the_options_of_one(tmp_path):
    run = tmp_path / "run"
    synthetic.write(run)
    explanation = pipeline.open_run(run)[9]
    heat = Panel("heat_map", "all", outlier_perc=0)
    assert explanation.show(sign="all", outlier_perc=0).tobytes() == draw(explanation.map, None, heat).tobytes()
    assert explanation.show(Panel("overlay"), heat).tobytes() == draw(explanation.map, None, heat).tobytes()  # no image
    with pytest.raises(ValueError, match="not both"):
        explanation.show(heat, sign="all")
    with pytest.raises(ValueError, match="sign is one of"):
        explanation.show(sign="both")
