import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

import pipeline
from pipeline.store.manifest import Manifest
from pipeline.store.shard_checkpoint import load_checkpoints
from pipeline.system.signals import Stopped, StopRequest, stop_on_signals
from tests.commands import Command, command

SLOW = ("method=ig", "n_steps=1500", "internal_batch_size=8", "batch_size=1", "store.shard_size=6")
"""Options of a run that takes a second for each image, with a check every few milliseconds."""
SECONDS_TO_END = 10


def wait_for_checkpoint(run: Path, started: Command) -> None:
    """Wait for the first checkpoint."""
    until = time.monotonic() + 60
    while not list(run.rglob("*.part")):
        assert started.running and time.monotonic() < until, started.wait(1).err
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_signal_ends_a_run_that_has_saved_a_checkpoint(
    tiny: list[str], tmp_path: Path, number: signal.Signals, status: int, num_workers: int
) -> None:
    run = tmp_path / "run"
    arguments = [*tiny, *SLOW, f"num_workers={num_workers}", f"output_dir={run}"]
    started = Command([*arguments, "store.checkpoint_seconds=0.1"], tmp_path)
    wait_for_checkpoint(run, started)
    began = time.monotonic()
    started.send(number)
    result = started.wait()
    assert time.monotonic() - began < SECONDS_TO_END
    assert result.status == status, result.err
    assert f"stopped by {number.name}; finished rows are saved" in result.err and "Traceback" not in result.err
    assert not list(run.rglob("*.tmp"))
    manifest = Manifest.open(run)
    saved = {int(index) for rows in load_checkpoints(run, manifest, 0) for index in rows.images}
    assert saved and saved == set(range(len(saved)))
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.part")}
    time.sleep(0.05)
    resumed = Command([*arguments, "store.checkpoint_seconds=0.1"], tmp_path)
    while {path: path.stat().st_mtime_ns for path in run.rglob("*.part")} == before:
        assert resumed.running
        time.sleep(0.02)
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*.part")}
    resumed.send(signal.SIGTERM)
    assert before.items() <= after.items(), "saved images are not computed again"
    assert resumed.wait().status == 143


def test_saved_work_is_not_computed_again(tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*tiny, "method=ig", "n_steps=100", "batch_size=1", "store.shard_size=12", f"output_dir={run}"]
    started = Command([*arguments, "store.checkpoint_seconds=0.05"], tmp_path)
    wait_for_checkpoint(run, started)
    started.send(signal.SIGTERM)
    assert started.wait().status in (143, 0)
    done = command(*arguments, folder=tmp_path)
    assert done.status == 0 and "12/12 explanations" in done.err
    assert pipeline.open_run(run).table()["index"].tolist() == list(range(12))
    assert not list(run.rglob("*.part"))


def test_a_signal_ends_the_whole_sweep(tiny: list[str], tmp_path: Path) -> None:
    started = Command(["-m", *tiny, *SLOW, "target=pred,label", "store.checkpoint_seconds=0.1"], tmp_path)
    wait_for_checkpoint(tmp_path, started)
    started.send(signal.SIGINT)
    assert started.wait(SECONDS_TO_END).status == 130
    assert len(list((tmp_path / "outputs").iterdir())) == 1


def test_a_second_signal_ends_the_process_at_once() -> None:
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    process = context.Process(target=_wait_for_signals, args=(ready,))
    process.start()
    assert process.pid is not None and ready.wait(60)
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.5)
    assert process.is_alive(), "the first signal is deferred"
    os.kill(process.pid, signal.SIGTERM)
    process.join(SECONDS_TO_END)
    assert process.exitcode == -signal.SIGTERM


def _wait_for_signals(ready: Event) -> None:
    with stop_on_signals() as stop, stop.deferred():
        ready.set()
        while True:
            time.sleep(0.05)


def test_a_deferred_signal_raises_at_the_next_check() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop, stop.deferred():
        stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="SIGTERM") as stopped:
            stop.check()
    assert stopped.value.status == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_is_not_deferred_raises_at_once() -> None:
    with stop_on_signals(), pytest.raises(Stopped, match="SIGTERM") as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert stopped.value.status == 143


def test_handlers_are_restored_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="x"), stop_on_signals():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) == before


def test_without_a_signal_a_check_does_nothing() -> None:
    StopRequest().check()
