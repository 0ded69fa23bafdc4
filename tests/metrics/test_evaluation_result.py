"""Result of an evaluation: its file and its table."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.metrics import Deletion
from pipeline.metrics.control_maps import KINDS
from pipeline.metrics.evaluation_result import (
    RESULT_FILE,
    Result,
    encode_result,
    metric_result,
    new_result,
    read_result,
    result_table,
)


@pytest.fixture
def result() -> Result:
    """Result of four explanations, one of which has no score."""
    rows = np.array([[0.1, 0.2, 0.3, np.nan], [0.5, 0.6, 0.7, np.nan], [0.1, 0.3, 0.2, np.nan], [np.nan] * 4])
    curves = np.arange(24.0).reshape(4, 2, 3)
    measured = {"readable": np.array([True, True, True, False]), "curves.deletion": curves}
    measured |= {"scores.deletion": rows, "scores.insertion": rows + 1 / 3}
    stored = new_result(
        run={"fingerprint": "f"},
        sample={"seed": 0, "explanations": 4, "published": 9},
        resamples=100,
        explanations={"index": [1, 2, 3, 4]},
    )
    metric = Deletion(steps=2)
    stored["metrics"]["deletion"] = metric_result(metric, {"steps": 2}, measured, resamples=100, seed=0)
    return stored


def test_the_file_says_all_and_is_plain_json(result: Result, tmp_path: Path) -> None:
    (tmp_path / RESULT_FILE).write_bytes(encode_result(result))
    stored = read_result(tmp_path)
    assert stored is not None and encode_result(stored) == encode_result(result)
    deletion = stored["metrics"]["deletion"]
    assert deletion["values"]["deletion"]["map"] == [0.1, 0.2, 0.3, None] and deletion["unreadable"] == 1
    assert deletion["values"]["insertion"]["map"][0] == 0.433333
    assert deletion["scores"]["deletion"]["map"]["mean"] == 0.2 and deletion["scores"]["deletion"]["better"] == "lower"
    assert deletion["scores"]["deletion"]["random"]["difference"]["mean"] == -0.4
    assert deletion["curves"]["positions"] == [0, 0.5, 1] and deletion["curves"]["axis"].startswith("share of pixels")
    assert deletion["curves"]["deletion"] == {
        kind: [6 * i + 1.5, 6 * i + 2.5, 6 * i + 3.5] for i, kind in enumerate(KINDS)
    }


def test_a_file_of_another_version_is_no_result(result: Result, tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    for content in (b"no json", b"[]", json.dumps({"schema": 99}).encode()):
        (tmp_path / RESULT_FILE).write_bytes(content)
        assert read_result(tmp_path) is None
    (tmp_path / RESULT_FILE).unlink()
    (tmp_path / RESULT_FILE).mkdir()
    with pytest.raises(StoreError, match="is not a regular file"):
        read_result(tmp_path)


def test_the_table_marks_significant_differences(result: Result) -> None:
    lines = result_table(result).splitlines()
    assert "4 of 9 explanations (seed 0); mean [95% interval]" in lines[0]
    row = next(line for line in lines if line.startswith("deletion "))
    maps, random, edge, centre = (row[22 + 26 * i : 48 + 26 * i].strip() for i in range(4))
    assert maps.startswith("0.2 [") and random.startswith("0.6 [") and random.endswith("]*")
    assert edge.startswith("0.2 [") and edge.endswith("]") and centre == "undefined"
    assert row.endswith("lower is better")
    assert lines[-1].startswith("Deletion and insertion (Petsiuk et al. 2018") and "in 2 equal portions" in lines[-1]
