"""A plan estimates what a run takes, and writes nothing."""

from pathlib import Path

import pytest

from pipeline.run.plan import format_duration, plan_run
from tests.conftest import Prepare, Status


def test_plan_estimates_a_run_and_writes_nothing(
    explain: Status, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain("task=plan", "method=occlusion", "target=top2", "store.shard_size=5") == 0
    lines = dict(line.split(None, 1) for line in caplog.messages[-1].splitlines())
    assert lines["folder"] == str(tmp_path / "run")
    assert lines["images"] == "12, in 3 shards"
    assert lines["rows"] == "24, each 1x4x4 float16"
    assert "free: " in lines["bytes"] and "NOT ENOUGH" not in lines["bytes"]
    assert "images/s, measured on cpu" in lines["time"]
    assert not (tmp_path / "run").exists()


def test_plan_reports_a_disk_that_is_too_small(job: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "free: 1 kB  NOT ENOUGH" in plan_run(job())


@pytest.mark.parametrize("limit", [1, 2])
def test_plan_of_few_images(job: Prepare, limit: int) -> None:
    assert f"images    {limit}, in 1 shards" in plan_run(job(f"data.limit={limit}", "n_steps=2"))


def test_durations() -> None:
    assert [format_duration(seconds) for seconds in (2, 89, 90, 5399, 5400, 130000)] == [
        "2.0 s", "89.0 s", "1.5 min", "90.0 min", "1.5 h", "1.5 days",
    ]  # fmt: skip
