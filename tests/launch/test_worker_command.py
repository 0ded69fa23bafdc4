"""A worker's command line says the same when it is read back, and the machine's cores are shared out."""

import os

import pytest

from pipeline.launch.placement import placements
from pipeline.launch.worker_command import quoted
from tests.conftest import Compose


@pytest.mark.parametrize("value", ["/a b/c=d,e", "it's", "{x}[y]", "7", "null", "ü#1", "${oc.env:HOME}", None])
def test_what_is_quoted_is_read_back(compose: Compose, value: str | None) -> None:
    config, _ = compose(f"run={quoted(value)}")
    assert config["run"] == value


def test_lists_and_switches_are_read_back(compose: Compose) -> None:
    config, _ = compose(
        "model=checkpoint",
        f"model.allow={quoted(['a', 'b c'])}",
        f"model.multi_label={quoted(True)}",
        f"model.weights={quoted('x')}",
        f"batch_size={quoted(3)}",
    )
    assert config["model"]["allow"] == ["a", "b c"] and config["model"]["multi_label"] is True
    assert config["batch_size"] == 3


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_cores_are_shared_out(workers: int) -> None:
    cores = os.sched_getaffinity(0)
    parts = [place.cores for place in placements("cpu", workers)]
    assert len(parts) == workers and all(parts) and frozenset().union(*parts) == cores
    if workers <= len(cores):
        assert sum(map(len, parts)) == len(cores)
    with placements("cpu", workers)[0].inherited():
        assert os.sched_getaffinity(0) == parts[0]
    assert os.sched_getaffinity(0) == cores
