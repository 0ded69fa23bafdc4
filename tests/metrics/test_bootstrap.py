"""Bootstrap intervals of means: coverage, undefined values, repeatability."""

import numpy as np

from pipeline.metrics.bootstrap import Interval, bootstrap_intervals, bootstrap_summary


def test_the_interval_is_about_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(2, 3, 400)
    statistics = bootstrap_summary({"map": values, "random": values + 1}, resamples=2000, seed=0)
    half = 1.96 * values.std() / 20
    assert abs(statistics["map"]["mean"] - values.mean()) < 1e-12 and statistics["map"]["median"] == np.median(values)
    assert abs(statistics["map"]["low"] - (values.mean() - half)) < 0.1 * half
    assert abs(statistics["map"]["high"] - (values.mean() + half)) < 0.1 * half
    difference = statistics["random"]["difference"]  # image by image it is the same for all
    assert all(abs(difference[end] + 1) < 1e-12 for end in ("mean", "low", "high"))


def test_undefined_values_are_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan])
    statistics = bootstrap_summary({"map": values, "random": np.full(4, np.nan)}, resamples=200, seed=0)
    assert (statistics["map"]["mean"], statistics["map"]["median"], statistics["map"]["defined"]) == (2, 2, 2)
    assert 1 <= statistics["map"]["low"] <= statistics["map"]["high"] <= 3
    nothing = {"mean": None, "low": None, "high": None}
    assert statistics["random"] == {**nothing, "median": None, "defined": 0, "difference": nothing}


def test_the_same_seed_draws_the_same() -> None:
    values = {"map": np.random.default_rng(1).normal(size=30)}
    assert bootstrap_summary(values, resamples=100, seed=3) == bootstrap_summary(values, resamples=100, seed=3)
    assert bootstrap_summary(values, resamples=100, seed=3) != bootstrap_summary(values, resamples=100, seed=4)


def test_the_interval_covers_the_mean_in_95_of_100_samples() -> None:
    samples = np.random.default_rng(0).normal(1, 2, (200, 40))
    intervals = bootstrap_intervals(samples, resamples=2000, seed=0)
    assert 0.88 < np.mean([one is not None and one.low <= 1 <= one.high for one in intervals]) < 0.99


def test_the_interval_of_a_constant_is_it() -> None:
    assert bootstrap_intervals(np.full((1, 5), 2.0), resamples=100, seed=0) == [Interval(2.0, 2.0, 2.0)]
