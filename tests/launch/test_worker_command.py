"""A worker's command line is read back with the same values."""

import sys
from dataclasses import replace

import pytest

from pipeline.launch.worker_command import FrozenRun, quoted
from pipeline.run.loop import freeze_run
from tests.conftest import Compose, Prepare


@pytest.mark.parametrize("value", ["/a b/c=d,e", "it's", "{x}[y]", "7", "null", "ü#1", "${oc.env:HOME}", None])
def test_quoted_values_are_read_back(compose: Compose, value: str | None) -> None:
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


def test_a_workers_command_line_has_what_the_machine_and_the_code_need(job: Prepare, compose: Compose) -> None:
    prepared = job("device=cpu", "batch_size=3", "retry_failed=true", "launch=processes", "launch.workers=4")
    requested = replace(prepared.options, device="auto")
    frozen = FrozenRun(prepared, freeze_run(prepared)[0], requested, prepared.options.launch)
    python, *flags, _ = frozen.worker_command(2)[:4]
    assert (python, flags) == (sys.executable, ["-m", "pipeline"])
    config, choices = compose(*frozen.worker_command(2, finish=False)[3:])
    assert config["task"] == {"name": "work", "worker": 2, "workers": 4, "finish": False}
    assert (config["run"], config["device"], config["retry_failed"]) == (str(prepared.run), "auto", True)
    assert (config["batch_size"], config["internal_batch_size"], config["num_workers"]) == (3, None, 0)
    assert choices["model"] == "checkpoint" and config["model"] == prepared.options.model
    on_gpu, _ = compose(*frozen.worker_command(2, device="cuda")[3:])
    assert on_gpu["device"] == "cuda"
