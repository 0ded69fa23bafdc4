"""Status of a run from its folder alone, while workers are alive and after all of them died."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from pipeline.store.heartbeat import STALE_SECONDS, Heartbeat, read_heartbeats
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.status import read_run_status
from tests.commands import Command, command
from tests.conftest import Status
from tests.store import synthetic


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five shards of ten images: the second and the fourth are missing, the fourth has a part."""
    synthetic.write(tmp_path)
    for shard in (1, 3):
        shard_path(tmp_path, shard).unlink()
        summary_path(tmp_path, shard).unlink()
    (tmp_path / "shards/000/0000003.rows-30-32.part").touch()
    return tmp_path


def test_shards_are_published_or_missing(run: Path) -> None:
    found = read_run_status(run)
    assert (found.shards, found.published, found.in_work, found.missing, found.begun) == (5, 3, 0, 2, 1)
    assert (found.images, found.done, found.failed, found.failed_shards) == (50, 30, 7, 2)
    assert (found.rate, found.seconds_left, found.workers, found.last_error) == (0, None, [], None)
    assert "no worker is alive: the same command resumes" in str(found)
    synthetic.write(run)
    assert "complete" in str(read_run_status(run))


def test_a_living_worker_has_a_rate(run: Path) -> None:
    with Heartbeat(run, worker=1) as heartbeat, heartbeat.in_work([30, 31, 34]):
        heartbeat.count(20, 2)
        heartbeat._write(began=time.time() - 10)
        found = read_run_status(run)
    (worker,) = found.workers
    assert worker.alive and (worker.worker, worker.shard, worker.images, worker.failed) == (1, 3, 20, 2)
    assert worker.rate == found.rate == pytest.approx(2, rel=0.1)
    assert found.seconds_left == pytest.approx(10, rel=0.1)
    assert (found.in_work, found.missing, found.begun) == (1, 1, 0)
    assert f"worker 1 (process {os.getpid()} on " in str(found) and "at shard 3, heartbeat 00:00 ago" in str(found)


def test_errors_and_deaths_are_reported(run: Path) -> None:
    with pytest.raises(ValueError), Heartbeat(run, worker=2):
        raise ValueError("no such thing")
    assert read_run_status(run).last_error == "worker 2 ended by ValueError: no such thing"
    with Heartbeat(run, worker=4) as heartbeat, heartbeat.in_work([10, 11, 12, 15]):
        (path,) = (path for path in (run / "workers").iterdir() if '"worker": 4' in path.read_text())
        away = path.with_name(path.name.replace("~", "-elsewhere~", 1))
        away.write_bytes(path.read_bytes())
    silent = time.time() - STALE_SECONDS - 60
    os.utime(away, (silent, silent))
    found = read_run_status(run)
    assert found.last_error == "worker 2 ended by ValueError: no such thing", "the last, by time"
    assert "died at images 10 to 12, 15, last heartbeat 03:00 ago" in str(found)
    assert found.in_work == 0 and found.missing == 2


@pytest.mark.slow
def test_a_run_that_is_working_and_then_killed(explain: Status, tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    slow = ("method=ig", "n_steps=1500", "internal_batch_size=8", "batch_size=2", "store.shard_size=3")
    started = Command([*tiny, *slow, f"output_dir={run}"], tmp_path)
    until = time.monotonic() + 60
    while not (run / "manifest.h5").exists() or not any(one.state.images for one in read_heartbeats(run)):
        assert started.running and time.monotonic() < until, started.wait(1).err
        time.sleep(0.05)
    result = command("task=status", "task.json=true", f"run={run}", folder=tmp_path)
    assert result.status == 0 and not result.err
    found = json.loads(result.out)
    (worker,) = found["workers"]
    assert worker["alive"] and worker["rate"] > 0 and found["seconds_left"] > 0 and found["in_work"] == 1
    assert found["published"] + found["in_work"] + found["missing"] == found["shards"] == 4
    started.send(signal.SIGKILL)
    started.wait()
    result = command("task=status", f"run={run}", folder=tmp_path)
    assert "no worker is alive" in result.err and "last error: worker 0 died at images" in result.err
