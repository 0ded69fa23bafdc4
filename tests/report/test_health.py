"""What is odd about a run is counted."""

from pathlib import Path

import numpy as np

from pipeline import open_run
from pipeline.report.health import BARS, checks, figures, histogram
from pipeline.report.map_sample import BORDER, BORDER_AREA, CELLS, sample_maps
from pipeline.report.run_summary import columns, finish
from pipeline.store.shard_reader import ShardReader

from .conftest import LABELS, MakeRun

NAMES = ("score", "baseline_score", "convergence_delta")


def test_maps_of_zeros_and_maps_on_the_border_are_found(make_run: MakeRun) -> None:
    maps = sample_maps(open_run(make_run()), LABELS[:7])
    assert (maps.read, maps.zero, maps.on_border) == (7, 1, 1)
    assert set(maps.means) == {0, 1, 2}
    assert maps.means[0].argmax() < CELLS  # the top row, where all of image 1's map lies
    assert maps.means[0].shape == (CELLS, CELLS)


def test_the_border_of_an_even_map_is_its_area() -> None:
    side = 160
    inside = side - 2 * round(side * BORDER)
    assert 1 - inside**2 / side**2 == BORDER_AREA


def test_a_histogram_counts_all_and_gathers_outliers_at_its_ends() -> None:
    values = np.concatenate([np.linspace(-1, 1, 2001), [50, np.nan]])
    found = histogram(values)
    assert found is not None and found.count == 2002 and len(found.bars) == BARS
    counts = [int(bar.title.rpartition(" ")[2].replace(",", "")) for bar in found.bars]
    assert sum(counts) == 2002 and counts[-1] > counts[-2]
    assert max(bar.height for bar in found.bars) == 100


def test_histograms_of_nothing_and_of_zeros() -> None:
    assert histogram(np.full(3, np.nan)) is None
    found = histogram(np.zeros(3))
    assert found is not None and found.bars[BARS // 2].height == 100


def test_figures_and_checks_of_a_run(make_run: MakeRun) -> None:
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
    run, summary, values = open_run(folder), finish(folder), columns(ShardReader(folder), *NAMES)
    maps = sample_maps(run, columns(ShardReader(folder), "label")["label"])
    found = [*figures(summary, values), *checks(run, summary, [*run.failures()], maps)]
    return {figure.name: (figure.value, figure.alarm) for figure in found}
