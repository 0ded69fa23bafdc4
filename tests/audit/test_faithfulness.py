"""Unfaithful maps: relative deltas and their order, by hand."""

import numpy as np
import pytest

from pipeline.audit.faithfulness import MAX_RELATIVE_DELTA, relative_delta, unfaithful_images
from pipeline.audit.image_table import ImageTable
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw


def test_relative_deltas_above_the_limit_are_listed(draw: Draw) -> None:
    score = np.array([3, 3, 3, 1, 3], np.float32)
    delta = np.array([0.1, -1.0, np.nan, 0.5, 0.41], np.float32)
    folder = draw(
        np.zeros((5, SIDE, SIDE)),
        np.zeros(5, int),
        np.eye(2)[[0] * 5],
        score=score,
        baseline_score=np.ones(5, np.float32),
        convergence_delta=delta,
    )
    images = ImageTable.read(ShardReader(folder))
    relative = relative_delta(images)
    assert relative[[0, 1, 4]].tolist() == pytest.approx([0.05, 0.5, 0.205]) and np.isnan(relative[2])
    assert np.isfinite(relative[3]) and relative[3] > 1e5  # nothing is to be explained: no division by 0
    found = unfaithful_images(images, relative, 10)
    assert [one.row for one in found] == [3, 1, 4] and found[1].delta == -1 and MAX_RELATIVE_DELTA == 0.2
    assert [one.row for one in unfaithful_images(images, relative, 1)] == [3]
