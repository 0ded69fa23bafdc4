"""Signs of life of starts that work, end, fail and die."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.heartbeat import STALE_SECONDS, Heartbeat, deaths, heartbeats, remove_dead_heartbeats

DIES = """
import os, sys
from pathlib import Path
from pipeline.store.heartbeat import Start

with Start(Path(sys.argv[1]), worker=3) as start, start.at([7, 8]):
    start.did(5, 1)
    os._exit(9)
"""


def died(run: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DIES, run]).returncode == 9


def test_it_says_what_is_in_work(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, worker=2) as start:
        with start.at([4, 5]):
            (found,) = heartbeats(tmp_path)
            assert found.alive and found.process == os.getpid()
            assert (found.facts.worker, found.facts.at) == (2, [4, 5])
        start.did(10, 1)
        assert list(start.begins([[6], [7, 8]])) == [[6], [7, 8]]
        (found,) = heartbeats(tmp_path)
        assert (found.facts.images, found.facts.failed, found.facts.at) == (10, 1, [7, 8])
        assert deaths(tmp_path) == []
    assert heartbeats(tmp_path) == []


def test_an_error_stays(tmp_path: Path) -> None:
    with pytest.raises(StoreError), Heartbeat(tmp_path) as start, start.at([4]):
        raise StoreError("no room")
    (found,) = heartbeats(tmp_path)
    assert (found.facts.error, found.facts.at) == ("StoreError: no room", [])
    assert deaths(tmp_path) == []


def test_a_death_is_known_by_what_was_in_work(tmp_path: Path) -> None:
    died(tmp_path)
    (found,) = heartbeats(tmp_path)
    assert not found.alive and found.facts.at == [7, 8] and found.facts.worker == 3
    with Heartbeat(tmp_path) as start, start.at([1]):
        assert deaths(tmp_path) == [[7, 8]]
        remove_dead_heartbeats(tmp_path)
        assert deaths(tmp_path) == []
        assert len(heartbeats(tmp_path)) == 1, "who is at work is not forgotten"


def test_a_silent_start_elsewhere_is_taken_for_dead(tmp_path: Path) -> None:
    died(tmp_path)
    (path,) = (tmp_path / "workers").iterdir()
    away = path.rename(path.with_name("another.1~" + path.name.partition("~")[2]))
    (found,) = heartbeats(tmp_path)
    assert found.alive and found.machine == "another.1" and deaths(tmp_path) == []
    silent = time.time() - STALE_SECONDS - 1
    os.utime(away, (silent, silent))
    assert deaths(tmp_path) == [[7, 8]]
    assert not heartbeats(tmp_path)[0].alive


def test_half_a_file_says_nothing(tmp_path: Path) -> None:
    died(tmp_path)
    (path,) = (tmp_path / "workers").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    (tmp_path / "workers" / "00003.log").write_text("a log")
    assert heartbeats(tmp_path) == [] and deaths(tmp_path) == []
