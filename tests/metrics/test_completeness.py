"""Completeness: stored deltas of the map, sums of the controls."""

import math

import torch

from pipeline.metrics import Completeness
from tests.metrics.known_networks import SIZE, Linear, Row, batch_of, maps_with_controls
from tests.networks import images


def test_completeness_is_the_stored_delta_and_the_controls_sum() -> None:
    x = images(3, SIZE, SIZE)
    rows = [Row(3.0, 1.0, -0.5), Row(1.0, 1.0, 0.25), Row(3.0, 1.0, math.nan)]
    batch = batch_of(Linear(), x, stored=rows)
    maps = maps_with_controls(batch, x.sum(1))
    scores = Completeness().measure(batch, maps).scores
    assert scores["delta"][0, :2].tolist() == [0.5, 0.25] and scores["relative_delta"][0, 0] == 0.25
    assert scores["relative_delta"][:, 1].isnan().all()  # nothing is to be explained
    assert scores["delta"][:, 2].isnan().all()  # the method promises nothing
    torch.testing.assert_close(scores["delta"][1:, 0], (maps[1:, 0].sum((1, 2)) - 2).abs())
