"""Files derived from the shards: idempotent, and equal to the summary."""

import csv
import json
import os
from pathlib import Path

from pipeline.report.derived_files import finish, finished_counts
from pipeline.store.run_files import summary_path

from .conftest import CLASS_NAMES, FAILED, NAMES, MakeRun

DERIVED = ("failures.jsonl", "summary.json", "summary.csv", "index.h5")


def test_finishing_again_writes_the_same_bytes(make_run: MakeRun) -> None:
    run = make_run()
    finish(run)
    first = [(run / name).read_bytes() for name in DERIVED]
    summary_path(run, 1).unlink()  # as if the writer had died between a shard and its summary
    finish(run)
    assert [(run / name).read_bytes() for name in DERIVED] == first
    assert summary_path(run, 1).exists() and not list(run.glob(".*"))


def test_files_have_the_numbers_of_the_summary(make_run: MakeRun) -> None:
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


def test_finished_counts_are_those_of_a_finished_run_alone(make_run: MakeRun) -> None:
    run = make_run(shards=(0, 2))
    assert finished_counts(run) is None  # nothing derived yet
    finish(run)
    assert finished_counts(run) is None  # a shard is missing
    run = make_run(shards=(1,))
    finish(run)
    assert finished_counts(run) == (8, 1)
    (run / "summary.json").write_text("{")
    assert finished_counts(run) is None
