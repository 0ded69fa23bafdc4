"""Workers as processes that are killed and stopped: the run is complete, and little of it is computed twice."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.store.verify import verify
from pipeline.system.signals import Stopped
from tests.conftest import Status
from tests.counting import IMAGES, assert_equal_runs, evaluated_points, meanwhile, until
from tests.deadly_images import add_deadly_images, check_quarantined, copy_photographs_and_network


def children() -> list[int]:
    """Process ids of this process's workers, in the order in which they were started."""
    tasks = Path("/proc/self/task").glob("*/children")
    found = sorted(int(number) for file in tasks for number in file.read_text().split())
    return [number for number in found if b"task=work" in Path(f"/proc/{number}/cmdline").read_bytes()]


@pytest.mark.slow
def test_two_of_four_are_killed(counted: Status, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")
    run = tmp_path / "run"

    def kill() -> None:
        until(lambda: len(list(run.glob("workers/*.log"))) == 4)
        (tmp_path / "go").write_text("0.1")
        until(lambda: len(list(run.glob("shards/*/*.h5"))) >= 6)
        for worker in children()[:2]:
            os.kill(worker, signal.SIGKILL)

    killer = meanwhile(kill)
    assert counted(f"output_dir={run}", "launch=processes", "launch.workers=4") == 0
    killer.join()
    assert caplog.text.count("was killed by SIGKILL; restarted") == 2
    assert_equal_runs(alone, run)
    assert verify(run).is_intact and not list(run.rglob("*.part"))
    assert (run / "summary.json").read_bytes() == (alone / "summary.json").read_bytes()
    # Doubled: an image in each killed worker's hands, and what helpers took up that its owner was at.
    doubled = evaluated_points(tmp_path) / 2 - IMAGES
    assert doubled <= 2 + IMAGES / 4, f"{doubled} images were computed twice"
    caplog.clear()
    assert counted(f"output_dir={run}", "launch=processes", "launch.workers=4") == 0
    assert "nothing is left to do" in caplog.text and evaluated_points(tmp_path) / 2 - IMAGES == doubled


@pytest.mark.slow
def test_a_signal_is_passed_on_and_work_is_saved(counted: Status, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def stop() -> None:
        until(lambda: len(list(run.glob("workers/*.log"))) == 2)
        (tmp_path / "go").write_text("0.1")
        until(lambda: len(list(run.glob("shards/*/*.h5"))) >= 2)
        until(lambda: evaluated_points(tmp_path) / 2 >= 12 + 3)  # one of them at least is finished
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = meanwhile(stop)
    with pytest.raises(Stopped) as stopped:
        counted(f"output_dir={run}", "launch=processes", "launch.workers=2", "store.shard_size=6")
    stopper.join()
    assert stopped.value.status == 143 and not children()
    assert all("stopped by SIGTERM" in log.read_text() for log in run.glob("workers/*.log"))
    assert 2 <= len(list(run.glob("shards/*/*.h5"))) < 6 and list(run.rglob("*.part"))


@pytest.mark.slow
def test_a_worker_that_dies_repeatedly_is_not_restarted(
    counted: Status, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ("output_dir=" + str(tmp_path / "run"), "launch=processes", "launch.workers=1", "launch.restarts=0")
    assert counted(*run, factory="deadly") == 1
    assert "worker 0 of 1 was killed by SIGKILL; it is not restarted" in caplog.text
    assert f"{IMAGES} of {IMAGES} shards are not published" in caplog.text
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.slow
def test_an_image_that_kills_every_worker_is_quarantined(
    explain: Status,
    dataset: Path,
    networks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = (str(path) for path in (Path(__file__).parents[2], networks, tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))
    monkeypatch.syspath_prepend(tmp_path)
    arguments = copy_photographs_and_network(dataset, tmp_path)
    assert explain(*arguments, f"output_dir={tmp_path / 'unbroken'}") == 0
    names = add_deadly_images(tmp_path / "photographs", {"2/a.png": "lime"})  # not in the first batch of its shard
    # No part is saved, so each start computes an image before it dies: restarts count deaths without one.
    workers = ("launch=processes", "launch.workers=2", "launch.restarts=0")
    assert explain(*arguments, *workers, "batch_size=2", "store.checkpoint_seconds=1000") == 3
    check_quarantined(tmp_path / "run", names, tmp_path / "unbroken")
    assert 3 <= caplog.text.count("was killed by SIGKILL; restarted") <= 6  # both may come to it at once
    assert "is not restarted" not in caplog.text


def test_launch_none_freezes_and_starts_nothing(
    explain: Status, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain("launch=none", "launch.workers=3", "n_steps=7") == 0
    assert (tmp_path / "run" / "manifest.h5").exists() and not (tmp_path / "run" / "shards").exists()
    assert "task.worker=0" in caplog.text and "task.workers=3" in caplog.text
