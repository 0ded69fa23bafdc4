"""Kills a run at random moments, starts it again each time, and compares what is left with an unbroken run.

python scripts/crash_test.py --kills 10 --photographs 40
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

import pipeline
from pipeline.__main__ import main as command_line
from pipeline.data.demo import lay_demo
from pipeline.store.manifest import Manifest
from pipeline.store.verify import verify

TOLERANCE = 1e-9
IMAGES_A_SHARD = 7
# A process that has imported everything forks each start: importing takes seconds in which a kill is no test.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pipeline.__main__", "pipeline.tasks"])


def main() -> None:
    options = _options()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lay_photographs(folder / "photographs", options.photographs)
        command = [
            f"data.root={folder / 'photographs'}", "data.transform.resize=32", "data.transform.crop=32",
            "model=resnet18", "model.weights=null", "n_steps=5", "batch_size=2", "num_workers=1", "device=cpu",
            "dtype=float64", "store.dtype=float64",
            f"store.shard_size={IMAGES_A_SHARD}", "store.checkpoint_seconds=0.1",
        ]  # fmt: skip
        unbroken, broken = folder / "unbroken", folder / "broken"
        seconds = finish(start([*command, f"output_dir={unbroken}"]), unbroken)
        print(f"the unbroken run worked for {seconds:.1f} s")
        for kill in range(options.kills):
            # at most this share of the work is done each time, so that there is some left to kill
            pause = moments.uniform(0, 0.8 * seconds / options.kills)
            print(f"kill {kill + 1} {pause:.2f} s after work began: {kill_run(command, broken, pause)}")
        finish(start([*command, f"output_dir={broken}"]), broken)
        found = [*differences(unbroken, broken), *leftovers(broken)]
    print("\n".join(found) or f"{options.kills} kills later: the same rows, and maps to {TOLERANCE:g}")
    sys.exit(bool(found))


def lay_photographs(folder: Path, count: int) -> None:
    """Different crops of the demo's photographs, in their class folders; one file in twenty is broken."""
    lay_demo(folder)
    sources = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range(count):
        source = sources[number % len(sources)]
        path = source.with_name(f"{number:05d}.jpg")
        if number % 20 == 11:
            path.write_text("no photograph")
            continue
        with Image.open(source) as image:
            width, height = image.size
            left, top = number * width // (2 * count), number * height // (2 * count)
            image.convert("RGB").crop((left, top, left + width // 2, top + height // 2)).save(path)
    for source in sources:
        source.unlink()


def start(arguments: list[str]) -> BaseProcess:
    """``python -m pipeline ARGUMENTS`` in a process of its own."""
    process = CONTEXT.Process(target=_perform, args=(arguments,))
    process.start()
    return process


def finish(process: BaseProcess, run: Path) -> float:
    """Waits for the end of a start; the seconds from the first sign of work on."""
    _await_work(process, run)
    began = time.monotonic()
    process.join()
    if process.exitcode not in (0, 3):  # 3: of the broken photographs
        raise SystemExit(f"{run} ended with exit status {process.exitcode}")
    return time.monotonic() - began


def kill_run(command: list[str], run: Path, pause: float) -> str:
    """Starts a run, kills it some seconds after it began to work, and tells how far it is."""
    process = start([*command, f"output_dir={run}"])
    _await_work(process, run)
    time.sleep(pause)
    process.kill()
    process.join()
    if process.exitcode != -9:
        raise SystemExit(f"the run was over before it could be killed: exit status {process.exitcode}")
    report = verify(run)
    damaged = [problem.text for problem in report.problems if "missing; task=finish" not in problem.text]
    if damaged:
        raise SystemExit("\n".join(damaged))
    return f"{report.published} of {report.shards} shards, {len(list(run.rglob('*.part')))} parts"


def differences(one: Path, other: Path) -> Iterator[str]:
    """How the rows of two runs differ; nothing if they do not."""
    first, second = pipeline.open_run(one), pipeline.open_run(other)
    for name, run in (("first", first), ("second", second)):
        failed = [failure.index for failure in run.failures()]
        images = sorted([*run.table()["index"].tolist(), *failed])
        if images != list(range(len(Manifest.open(run.folder)))):
            yield f"not every image of the {name} run is there once: {images}"
    if len(first) != len(second) or sorted(map(str, first.failures())) != sorted(map(str, second.failures())):
        yield f"{len(first)} rows, and {len(second)}; or other failures"
        return
    for name, values in first.table().items():
        if not np.allclose(values, second.table()[name], rtol=1e-6, atol=1e-6, equal_nan=True):
            yield f"{name} differs"
    for left, right in zip(first, second, strict=True):
        distance = np.abs(left.native - right.native).max()
        if not distance <= TOLERANCE * np.abs(left.native).max():
            yield f"{left} and {right}: maps differ by {distance:.3g}"


def leftovers(run: Path) -> Iterator[str]:
    """What a finished run should not hold."""
    yield from (f"{path} is left" for pattern in ("*.part", "*.tmp") for path in run.rglob(pattern))
    yield from (problem.text for problem in verify(run).problems)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def _perform(arguments: list[str]) -> None:
    multiprocessing.set_start_method("fork", force=True)  # of decoding processes, as in a process of its own
    sys.argv = ["pipeline", *arguments]
    command_line()


def _await_work(process: BaseProcess, run: Path) -> None:
    """Returns when a start has written something, or is over."""
    before = _written(run)
    while process.is_alive() and _written(run) == before:
        time.sleep(0.01)


def _written(run: Path) -> set[str]:
    return {path.name for path in run.rglob("*.*") if path.suffix in (".part", ".h5") and path.name != "manifest.h5"}


if __name__ == "__main__":
    main()
