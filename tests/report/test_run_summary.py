"""What stands beside the shards is what can be counted in them."""

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.run_summary import finish
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.sketch import ACCURACY

from .conftest import CLASS_NAMES, FAILED, LABELS, NAMES, MakeRun, deltas

DERIVED = ("failures.jsonl", "summary.json", "summary.csv")


def test_counts_and_quantiles_are_those_of_the_rows(make_run: MakeRun) -> None:
    summary = finish(make_run())
    by_name = {line.name: line for line in summary.classes}
    assert [line.name for line in summary.classes] == CLASS_NAMES
    assert [(line.label, line.n, line.failures) for line in summary.classes] == [(0, 3, 0), (1, 3, 0), (2, 1, 1)]
    assert by_name["tabby"].accuracy == pytest.approx(2 / 3)
    assert summary.overall.accuracy == pytest.approx(6 / 7)
    assert summary.overall.confidence == pytest.approx(0.5)
    magnitudes = np.abs(deltas(np.array([0, 1, 2, 3, 4, 6])))
    expected = np.quantile(magnitudes, [0.05, 0.5, 0.95])
    found = (summary.overall.delta_5, summary.overall.delta_50, summary.overall.delta_95)
    np.testing.assert_allclose(found, expected, rtol=1.01 * ACCURACY)
    estimates = np.array([0, 1, 2, 3, 4, 6]) / 100
    found = (summary.overall.error_50, summary.overall.error_95)
    np.testing.assert_allclose(found, np.quantile(estimates, [0.5, 0.95]), rtol=1.01 * ACCURACY)
    assert by_name["jay"].delta_50 == pytest.approx(0.6, rel=ACCURACY)
    assert (summary.images, summary.published, summary.explanations, summary.failures) == (8, 8, 7, 1)
    assert summary.evaluations == 7 * 21 and summary.complete


def test_several_targets_are_one_image_each(make_run: MakeRun) -> None:
    summary = finish(make_run(targets=3))
    assert (summary.overall.n, summary.explanations) == (7, 21)
    assert summary.overall.accuracy == pytest.approx(6 / 7)


def test_the_digest_is_of_the_published_files(make_run: MakeRun) -> None:
    run = make_run()
    digests = [hashlib.sha256(shard_path(run, shard).read_bytes()).hexdigest() for shard in range(3)]
    assert finish(run).sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_what_is_missing_is_said(make_run: MakeRun) -> None:
    summary = finish(make_run(shards=(0, 2)))
    assert (summary.missing_shards, summary.published, summary.complete) == ([1], 5, False)
    assert finish(make_run(shards=(1,))).complete


def test_a_run_without_a_shard_has_a_summary_of_nothing(make_run: MakeRun) -> None:
    summary = finish(make_run(shards=()))
    assert (summary.published, summary.classes, summary.overall.accuracy) == (0, [], None)


def test_images_without_labels_have_no_accuracy(make_run: MakeRun) -> None:
    summary = finish(make_run(labels=np.full_like(LABELS, -1)))
    assert [(line.name, line.n, line.accuracy) for line in summary.classes] == [("(no label)", 7, None)]
    assert summary.overall.accuracy is None


def test_doing_it_again_writes_the_same_files(make_run: MakeRun) -> None:
    run = make_run()
    finish(run)
    first = [(run / name).read_bytes() for name in DERIVED]
    summary_path(run, 1).unlink()  # as if the writer had died between a shard and its summary
    finish(run)
    assert [(run / name).read_bytes() for name in DERIVED] == first
    assert summary_path(run, 1).exists() and not list(run.glob(".*"))


def test_files_say_what_the_summary_says(make_run: MakeRun) -> None:
    run = make_run()
    summary = finish(run)
    stored = json.loads((run / "summary.json").read_text())
    assert stored["overall"]["accuracy"] == summary.overall.accuracy and stored["complete"] is True
    with (run / "summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == ["all", *CLASS_NAMES]
    assert float(table[0]["delta_50"]) == summary.overall.delta_50
    assert table[3]["n"] == "1" and table[3]["failures"] == "1"


def test_failures_keep_the_bytes_of_every_path(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    finish(run)
    (line,) = (run / "failures.jsonl").read_text().splitlines()
    failure = json.loads(line)
    assert (failure["index"], failure["stage"], failure["error"]) == (7, "read", FAILED[7])
    assert os.fsencode(failure["path"]) == NAMES[7]
