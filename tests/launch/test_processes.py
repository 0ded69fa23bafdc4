"""Workers as processes: killed, stopped, given up; what is left is an unbroken run's, within a bound on what is doubled."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.signals import Stopped
from pipeline.store.verify import verify
from pipeline.tasks import perform
from scripts.crash_test import differences
from tests.conftest import Compose, Status
from tests.counting import FOLDER, asked, options

COPIES = 3
IMAGES = 12 * COPIES


@pytest.fixture
def photographs(dataset: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for path in dataset.rglob("*.jpg"):
        for copy in range(COPIES):
            target = folder / path.parent.name / f"{copy}{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


@pytest.fixture
def counted(compose: Compose, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit status of a command line; what its networks were asked, in all processes, is in ``FOLDER/asked``."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def status(*arguments: str, factory: str = "build") -> int:
        return perform(*compose(*options(factory), f"data.root={photographs}", *arguments))

    return status


def meanwhile(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def children() -> list[int]:
    """Process ids of this process's workers, in the order in which they were started."""
    tasks = Path("/proc/self/task").glob("*/children")
    found = sorted(int(number) for file in tasks for number in file.read_text().split())
    return [number for number in found if b"task=work" in Path(f"/proc/{number}/cmdline").read_bytes()]


@pytest.fixture
def alone(counted: Callable[..., int], tmp_path: Path) -> Iterator[Path]:
    """What one process makes of the photographs."""
    (tmp_path / "go").write_text("0")
    assert counted(f"output_dir={tmp_path / 'alone'}") == 0
    assert asked(tmp_path) == 2 * IMAGES
    (tmp_path / "asked").unlink()
    (tmp_path / "go").unlink()
    yield tmp_path / "alone"


@pytest.mark.slow
def test_two_of_four_are_killed(
    counted: Callable[..., int], alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
    assert caplog.text.count("was killed by SIGKILL; started again, 1 of 3 times") == 2
    assert not list(differences(alone, run)) and verify(run).whole and not list(run.rglob("*.part"))
    assert (run / "summary.json").read_bytes() == (alone / "summary.json").read_bytes()
    # Doubled: an image in each killed worker's hands, and what helpers took up that its owner was at.
    doubled = asked(tmp_path) / 2 - IMAGES
    assert doubled <= 2 + IMAGES / 4, f"{doubled} images were computed twice"
    caplog.clear()
    assert counted(f"output_dir={run}", "launch=processes", "launch.workers=4") == 0
    assert "nothing is left to do" in caplog.text and asked(tmp_path) / 2 - IMAGES == doubled


@pytest.mark.slow
def test_a_signal_is_passed_on_and_work_is_saved(counted: Callable[..., int], tmp_path: Path) -> None:
    run = tmp_path / "run"

    def stop() -> None:
        until(lambda: len(list(run.glob("workers/*.log"))) == 2)
        (tmp_path / "go").write_text("0.1")
        until(lambda: len(list(run.glob("shards/*/*.h5"))) >= 2)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = meanwhile(stop)
    with pytest.raises(Stopped) as stopped:
        counted(f"output_dir={run}", "launch=processes", "launch.workers=2", "store.shard_size=6")
    stopper.join()
    assert stopped.value.status == 143 and not children()
    assert all("stopped by SIGTERM" in log.read_text() for log in run.glob("workers/*.log"))
    assert 2 <= len(list(run.glob("shards/*/*.h5"))) < 6 and list(run.rglob("*.part"))


@pytest.mark.slow
def test_a_worker_that_dies_over_and_over_is_given_up(
    counted: Callable[..., int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ("output_dir=" + str(tmp_path / "run"), "launch=processes", "launch.workers=1", "launch.restarts=0")
    assert counted(*run, factory="deadly") == 1
    assert "worker 0 of 1 was killed by SIGKILL; it is not started again" in caplog.text
    assert f"{IMAGES} of {IMAGES} shards are not published" in caplog.text
    assert not (tmp_path / "run" / "summary.json").exists()


def test_nothing_is_started_where_others_do_it(
    explain: Status, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain("launch=none", "launch.workers=3", "n_steps=7") == 0
    assert (tmp_path / "run" / "manifest.h5").exists() and not (tmp_path / "run" / "shards").exists()
    assert "task.worker=0" in caplog.text and "task.workers=3" in caplog.text
