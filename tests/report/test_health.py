"""Health of a run: indicators, checks and the histogram of convergence deltas."""

from pathlib import Path

import numpy as np

from pipeline import open_run
from pipeline.report.derived_files import finish
from pipeline.report.health import BARS, headline_indicators, health_checks, histogram
from pipeline.report.map_sample import sample_maps
from pipeline.report.run_columns import read_columns
from pipeline.store.shard_reader import ShardReader

from .conftest import LABELS, MakeRun

NAMES = ("score", "baseline_score", "convergence_delta")


def test_a_histogram_counts_outliers_in_its_outer_bars() -> None:
    values = np.concatenate([np.linspace(-1, 1, 2001), [50, np.nan]])
    drawn = histogram(values)
    assert drawn is not None and drawn.count == 2002 and len(drawn.bars) == BARS
    counts = [int(bar.title.rpartition(" ")[2].replace(",", "")) for bar in drawn.bars]
    assert sum(counts) == 2002 and counts[-1] > counts[-2]
    assert max(bar.height for bar in drawn.bars) == 100


def test_histograms_of_nothing_and_of_zeros() -> None:
    assert histogram(np.full(3, np.nan)) is None
    drawn = histogram(np.zeros(3))
    assert drawn is not None and drawn.bars[BARS // 2].height == 100


def test_indicators_and_checks_of_a_run(make_run: MakeRun) -> None:
    shown = _shown(make_run(shards=(0, 2)))
    assert shown["Shards missing"] == ("1 of 3", True)
    assert shown["Images that failed"] == ("1 (read 1)", True)
    assert shown["Maps of zeros"] == ("1 of 4 read", True)
    assert shown["of 8 images explained"] == ("4", False)
    assert shown["predicted as labelled"] == ("75.0 %", False)
    assert shown["Model evaluations for each"] == ("21", False)
    assert shown["Estimated error of a map, of its norm, 50 and 95 %"] == ("1.5 %, 5.4 %", False)
    # deltas 0, 0.1, 0.2 and 0.6 of a change of 2
    assert next(value for name, (value, _) in shown.items() if "median map" in name) == "7.5 %"


def test_without_labels_there_is_no_accuracy(make_run: MakeRun) -> None:
    assert "predicted as labelled" not in _shown(make_run(labels=np.full_like(LABELS, -1)))


def _shown(folder: Path) -> dict[str, tuple[str, bool]]:
    run, summary, values = open_run(folder), finish(folder), read_columns(ShardReader(folder), *NAMES)
    maps = sample_maps(run, read_columns(ShardReader(folder), "label")["label"])
    indicators = [*headline_indicators(summary, values), *health_checks(run, summary, [*run.failures()], maps)]
    return {indicator.name: (indicator.value, indicator.alarm) for indicator in indicators}
