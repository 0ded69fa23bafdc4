"""Disks that fill up or cannot be written, memory that ends, processes that are killed: real ones, all of them."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.store.verify import verify
from tests.commands import Command, command

WIDE = ("method=input_x_gradient", "store.dtype=float32", "store.channels=keep", "target=[0,1,2,3]",
        "store.shard_size=1", "data.transform.resize=224", "data.transform.crop=224", "batch_size=1")  # fmt: skip
"""Takes 2.4 MB an image, 29 MB for twelve."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small tmpfs needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def logged(run: Path) -> str:
    return (run / "run.log").read_text()


def same(one: Path, other: Path) -> None:
    first, second = pipeline.open_run(one), pipeline.open_run(other)
    assert len(first) == len(second) > 0
    for left, right in zip(first, second, strict=True):
        assert (left.index, left.target) == (right.index, right.target)
        np.testing.assert_allclose(left.native, right.native, atol=1e-4 * np.abs(right.native).max())


def test_a_disk_that_fills_up(disk: Path, tiny: list[str], tmp_path: Path) -> None:
    run, arguments = disk / "run", [*tiny, *WIDE]
    result = command(*arguments, f"output_dir={run}", folder=tmp_path)
    assert result.status == 4 and "Traceback" not in result.err
    warning, *_, last = [line for line in result.err.splitlines() if "disk" in line]
    assert "may be too small: about 31.5 MB" in warning and "20.9 MB are free" in warning
    assert last.startswith("pipeline: the disk (or quota) of ") and "bytes, " in last and "are free; make room" in last
    assert not list(run.rglob("*.tmp"))
    published = len(pipeline.open_run(run)) // 4
    assert 5 <= published < 12 and not [p for p in verify(run).problems if "task=finish" not in p.text]
    remount(disk, "size=60m")
    result = command(*arguments, f"output_dir={run}", folder=tmp_path)
    assert result.status == 0, result.err
    assert "too small" not in result.err and verify(run).is_intact
    assert command(*arguments, f"output_dir={tmp_path / 'other'}", folder=tmp_path).status == 0
    same(run, tmp_path / "other")


def test_a_disk_that_cannot_be_written(disk: Path, tiny: list[str], tmp_path: Path) -> None:
    run, arguments = disk / "run", [*tiny, "method=saliency", "data.limit=3"]
    assert command(*arguments, f"output_dir={run}", folder=tmp_path).status == 0
    remount(disk, "ro")
    for folder in (run, disk / "new"):
        result = command(*arguments, f"output_dir={folder}", folder=tmp_path)
        assert result.status == 2, result.err
        assert result.err.splitlines()[-1].startswith("pipeline: output_dir=") and "Read-only" in result.err
    result = command("task=report", f"run={run}", folder=tmp_path)
    assert result.status == 4 and result.err.count("\n") == 1 and "Read-only file system" in result.err
    assert command("task=status", f"run={run}", folder=tmp_path).status == 0


MEGABYTE = 1 << 20
LARGE = ("method=ig", "n_steps=4", "data.transform.resize=320", "data.transform.crop=320")


@pytest.mark.slow
def test_out_of_memory_halves_chunks(tiny: list[str], tmp_path: Path) -> None:
    arguments = [*tiny, *LARGE, "batch_size=12", "internal_batch_size=48", "store.shard_size=2"]
    for room in range(640, 300, -30):  # how much is enough depends on the machine
        run = tmp_path / "short"
        shutil.rmtree(run, ignore_errors=True)
        short = command(*arguments, f"output_dir={run}", folder=tmp_path, room=room * MEGABYTE)
        assert short.status in (0, -signal.SIGSEGV), short.err  # with far too little PyTorch itself ends
        if short.status == 0 and "out of memory" in short.err:
            break
    assert short.status == 0, short.err
    assert "out of memory: continuing with internal_batch_size=24" in short.err
    assert command(*arguments, f"output_dir={tmp_path / 'ample'}", folder=tmp_path).status == 0
    same(tmp_path / "short", tmp_path / "ample")


def test_not_even_one_image_fits(tiny: list[str], tmp_path: Path) -> None:
    huge = ("data.transform.resize=3000", "data.transform.crop=3000", "batch_size=2", "data.limit=2")
    result = command(*tiny, "method=ig", *huge, f"output_dir={tmp_path / 'run'}", folder=tmp_path, room=300 * MEGABYTE)
    assert result.status == 2, result.err
    assert "Traceback" not in result.err
    assert result.err.splitlines()[-1].startswith("pipeline: ")
    assert "lower data.transform.crop" in result.err or "lower batch_size" in result.err
    assert "out of memory" in result.err


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_killed_decoding_process_is_started_again(tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    slow = ("method=ig", "n_steps=600", "internal_batch_size=8", "batch_size=1", "num_workers=1", "store.shard_size=1")
    started = Command([*tiny, *slow, f"output_dir={run}"], tmp_path)
    until = time.monotonic() + 60
    while not (workers := children(started.pid)) or not list((run / "shards").rglob("*.h5")):
        assert started.running and time.monotonic() < until
        time.sleep(0.02)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    result = started.wait(120)
    assert result.status == 0, result.err
    assert "a decoding process was killed: started again" in logged(run)
    assert pipeline.open_run(run).table()["index"].tolist() == list(range(12))


def test_the_error_that_ends_a_run_is_in_its_log(tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*tiny, "method=saliency", f"output_dir={run}"]
    assert command(*arguments, folder=tmp_path).status == 0
    assert command(*arguments, "target=label", folder=tmp_path).status == 4
    assert "is the folder of another job (target: pred in the folder, label requested)" in logged(run)
    (run / "shards" / "000" / "0000000.h5").unlink()
    (run / "shards" / "000" / "0000000.h5").mkdir()
    result = command(*arguments, folder=tmp_path)
    assert result.status == 4 and "is not a regular file" in logged(run)


@pytest.mark.slow
def test_two_starters_share_the_shards(tiny: list[str], tmp_path: Path) -> None:
    arguments = [*tiny, "method=ig", "n_steps=30", "batch_size=1", "store.shard_size=1"]
    for attempt in range(3):
        run = tmp_path / str(attempt)
        starts = [Command([*arguments, f"output_dir={run}"], tmp_path) for _ in range(2)]
        assert [start.wait().status for start in starts] == [0, 0]
        assert verify(run).is_intact and not list(run.rglob("*.part")) and not list(run.rglob("*.tmp"))
        assert pipeline.open_run(run).table()["index"].tolist() == list(range(12))
        doubled = [
            int(number) for number in re.findall(r"up to (\d+) of these images were computed twice", logged(run))
        ]
        assert sum(doubled) < 12, "the two do not share the work"
