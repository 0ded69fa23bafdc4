"""Heartbeats of processes that work, end, fail and die."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.heartbeat import STALE_SECONDS, Heartbeat, images_at_deaths, read_heartbeats, remove_dead_heartbeats

DIES = """
import os, sys
from pathlib import Path
from pipeline.store.heartbeat import Heartbeat

with Heartbeat(Path(sys.argv[1]), worker=3) as heartbeat, heartbeat.in_work([7, 8]):
    heartbeat.count(5, 1)
    os._exit(9)
"""


def died(run: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DIES, run]).returncode == 9


def test_a_heartbeat_has_the_images_in_work(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, worker=2) as heartbeat:
        with heartbeat.in_work([4, 5]):
            (record,) = read_heartbeats(tmp_path)
            assert record.alive and record.process == os.getpid()
            assert (record.state.worker, record.state.at) == (2, [4, 5])
        heartbeat.count(10, 1)
        assert list(heartbeat.begin_batches([[6], [7, 8]])) == [[6], [7, 8]]
        (record,) = read_heartbeats(tmp_path)
        assert (record.state.images, record.state.failed, record.state.at) == (10, 1, [7, 8])
        assert images_at_deaths(tmp_path) == []
    assert read_heartbeats(tmp_path) == []


def test_a_heartbeat_with_an_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(StoreError), Heartbeat(tmp_path) as heartbeat, heartbeat.in_work([4]):
        raise StoreError("no room")
    (record,) = read_heartbeats(tmp_path)
    assert (record.state.error, record.state.at) == ("StoreError: no room", [])
    assert images_at_deaths(tmp_path) == []


def test_a_death_is_known_by_the_images_in_work(tmp_path: Path) -> None:
    died(tmp_path)
    (record,) = read_heartbeats(tmp_path)
    assert not record.alive and record.state.at == [7, 8] and record.state.worker == 3
    with Heartbeat(tmp_path) as heartbeat, heartbeat.in_work([1]):
        assert images_at_deaths(tmp_path) == [[7, 8]]
        remove_dead_heartbeats(tmp_path)
        assert images_at_deaths(tmp_path) == []
        assert len(read_heartbeats(tmp_path)) == 1, "the heartbeat of a living process is kept"


def test_a_stale_heartbeat_of_another_machine_counts_as_a_death(tmp_path: Path) -> None:
    died(tmp_path)
    (path,) = (tmp_path / "workers").iterdir()
    away = path.rename(path.with_name("another.1~" + path.name.partition("~")[2]))
    (record,) = read_heartbeats(tmp_path)
    assert record.alive and record.machine == "another.1" and images_at_deaths(tmp_path) == []
    stale = time.time() - STALE_SECONDS - 1
    os.utime(away, (stale, stale))
    assert images_at_deaths(tmp_path) == [[7, 8]]
    assert not read_heartbeats(tmp_path)[0].alive


def test_a_half_written_heartbeat_is_ignored(tmp_path: Path) -> None:
    died(tmp_path)
    (path,) = (tmp_path / "workers").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    (tmp_path / "workers" / "00003.log").write_text("a log")
    assert read_heartbeats(tmp_path) == [] and images_at_deaths(tmp_path) == []
