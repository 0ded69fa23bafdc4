"""Errors of maps that are computed in less than float32, as a run reports them."""

import json

import numpy as np
import pytest
import torch

import pipeline
from pipeline.run.precision import FILE, map_errors
from pipeline.store.schema import Rows
from tests.conftest import Prepare, Status


def rows(maps: list[list[float]], targets: list[int]) -> Rows:
    return Rows({"index": np.arange(len(maps)), "target": np.array(targets), "attribution": np.array(maps)}, [])


def test_errors_of_maps() -> None:
    expected = rows([[3, 4], [1, 0], [0, 0]], [5, 5, 5])
    assert map_errors(rows([[3, 3], [9, 9], [1, 1]], [5, 6, 5]), expected) == [0.2]  # another class; nothing to compare
    assert map_errors(Rows({}, []), expected) == []


@pytest.mark.parametrize("method", [["method=ig", "n_steps=8"], ["method=saliency"]])
def test_the_error_of_bfloat16_is_measured_logged_and_stored(
    explain: Status, job: Prepare, caplog: pytest.LogCaptureFixture, method: list[str]
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    folder = job(*method).run
    given = (*method, "target=label", "store.dtype=float32", "data.limit=4", "internal_batch_size=4")
    assert explain(*given, f"output_dir={folder}-exact") == 0
    assert not (folder.parent / f"{folder.name}-exact" / FILE).exists()
    assert explain(*given, "dtype=bfloat16") == 0
    found = json.loads((folder / FILE).read_bytes())
    low, exact = (pipeline.open_run(path) for path in (folder, f"{folder}-exact"))
    errors = [
        np.linalg.norm(one.native - other.native) / np.linalg.norm(other.native)
        for one, other in zip(low, exact, strict=True)
    ]
    assert found["explanations"] == 4 and 1e-3 < found["median_error"] < 1
    np.testing.assert_allclose([found["median_error"], found["largest_error"]], [np.median(errors), max(errors)], 1e-3)
    assert f"by {found['median_error']:.2g} of their norm" in caplog.text


def test_tf32_is_off_for_the_reference(explain: Status, job: Prepare) -> None:
    assert explain("method=saliency", "dtype=tf32", "data.limit=2") == 0
    found = json.loads((job("method=saliency", "dtype=tf32").run / FILE).read_bytes())
    assert found["dtype"] == "tf32" and found["compared_with"] == "float32"
    assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
