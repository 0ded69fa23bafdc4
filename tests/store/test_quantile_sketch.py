import json
from collections import Counter

import numpy as np
import pytest

from pipeline.store.quantile_sketch import ACCURACY, MAX_WAITING, Bins, Sketch

GAINS = np.random.default_rng(0).lognormal(0, 4, 5001)
LOSSES = -np.random.default_rng(1).exponential(1e-6, 3000)
VALUES = np.concatenate([GAINS, LOSSES, np.zeros(7)]).astype(np.float32)


@pytest.mark.parametrize("q", [0, 0.01, 0.25, 0.3745, 0.5, 0.9, 0.999, 1])
def test_every_quantile_is_within_the_accuracy(q):
    exact = np.quantile(VALUES.astype(np.float64), q)
    assert Sketch.of(VALUES).quantile(q) == pytest.approx(exact, rel=ACCURACY * 1.0001)


def test_merged_sketches_are_the_sketch_of_all_values():
    parts = np.array_split(np.random.default_rng(2).permutation(VALUES), 7)
    merged = Sketch()
    for part in parts:
        merged.merge(Sketch.of(part))
    assert merged == Sketch.of(VALUES)
    assert merged.count == VALUES.size


def test_a_sketch_survives_json():
    sketch = Sketch.of(VALUES)
    assert Sketch.from_json(json.loads(json.dumps(sketch.to_json()))) == sketch


def test_undefined_values_are_counted_apart():
    sketch = Sketch.of(np.array([np.nan, np.inf, 1.0, 2.0]))
    assert (sketch.count, sketch.undefined) == (2, 2)
    assert np.isnan(Sketch().quantile(0.5))


def test_the_number_of_bins_stays_small():
    extremes = np.geomspace(1e-30, 1e30, 1_000_000)
    assert len(Sketch.of(extremes).positive.counts) < 7000


def test_bins_added_together_and_one_by_one_are_equal():
    together, counts = Bins(), Counter()
    for number in range(3 * MAX_WAITING):
        together.add([number % 7 - 3, number])
        counts[number % 7 - 3] += number
    assert together.counts == counts and together == Bins(together.pairs())
    assert together.pairs()[::2] == list(range(-3, 4))
