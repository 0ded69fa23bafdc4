"""Header and footer of a report: each fact is that of the run."""

import os
from pathlib import Path

import pytest

from pipeline import open_run
from pipeline.report.derived_files import finish
from pipeline.report.header import page_header

from .conftest import MakeRun


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("pred", "the class that the model predicts"),
        ("label", "the class of its folder"),
        ("top3", "its 3 likeliest classes"),
        (2, "jay"),
        ([0, 2, 7], "tabby, jay, class 7"),
    ],
)
def test_the_target_is_described(make_run: MakeRun, option: object, target: str) -> None:
    header = header_of(make_run(attributes={"target_option": option}))
    assert header["lede"] == f"8 images of photographs, each explained for {target}."
    assert header["facts"]["Explained"] == f"{target}, by logit"


def test_a_neuron_replaces_the_target(make_run: MakeRun) -> None:
    options = {"view": "neuron", "layer": "conv1", "neuron": [3, 1, 2]}
    assert header_of(make_run(attributes={"options": options}))["facts"]["Explained"].startswith(
        "neuron [3, 1, 2] of conv1"
    )


def test_without_a_stored_configuration_the_method_is_named_by_the_shards(make_run: MakeRun) -> None:
    header = header_of(make_run())
    assert header["title"] == "ig on TinyNet" and header["command"] is None


def test_finished_is_the_time_of_the_last_published_shard(make_run: MakeRun) -> None:
    folder = make_run(shards=(0, 2))
    finish(folder)
    for number, time in ((0, 1_700_000_000), (2, 1_600_000_000)):
        os.utime(folder / f"shards/000/{number:07d}.h5", (time, time))
    assert header_of(folder)["facts"]["Finished"] == "14 November 2023, 22:13 UTC"


def test_the_footer_has_fingerprint_digest_and_folder(make_run: MakeRun) -> None:
    folder = make_run()
    summary = finish(folder)
    assert header_of(folder)["footer"] == (
        f"fingerprint {summary.fingerprint} · shards {summary.sha256[:16]} · {folder}"
    )


def header_of(folder: Path) -> dict:
    return page_header(open_run(folder), finish(folder))
