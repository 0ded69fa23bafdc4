"""Kill a run repeatedly, resume it each time, and compare the result with an unbroken run.

Every other kill comes at a random moment. The others come at the system calls that write files: before each call, for
each kind of file, and in the middle of each write. A run that reaches its end is compared, removed and started again.

python scripts/crash_test.py --kills 200 --photographs 64
"""

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image
from system_calls import SystemCalls
from tiny import OPTIONS

import pipeline
from pipeline.__main__ import main as command_line
from pipeline.data.demo_photographs import write_demo_photographs
from pipeline.store.manifest import Manifest
from pipeline.store.verify import verify

TOLERANCE = 1e-9
IMAGES_A_SHARD = 4
# A process that has imported everything forks each start: imports take seconds, in which a kill would test nothing.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pipeline.__main__", "pipeline.tasks", "system_calls"])


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        problems = crash(Path(scratch), options.kills, options.photographs, random.Random(options.seed))
    print(
        "\n".join(problems) or f"{options.kills} kills: the same rows, maps equal to {TOLERANCE:g}, no files left over"
    )
    sys.exit(bool(problems))


def crash(folder: Path, kills: int, photographs: int, moments: random.Random) -> list[str]:
    """Kill and resume a run; return the differences from an unbroken run, and the files left over."""
    write_photographs(folder / "photographs", photographs)
    command = [
        f"data.root={folder / 'photographs'}", *OPTIONS, "batch_size=1", "num_workers=1", "dtype=float64",
        "store.dtype=float64", f"store.shard_size={IMAGES_A_SHARD}", "store.checkpoint_seconds=0.01",
    ]  # fmt: skip
    start(["--version", f"output_dir={folder / 'none'}"]).join()  # imports everything, before the first start is timed
    unbroken, broken = folder / "unbroken", folder / "broken"
    record = folder / "calls"
    began = time.monotonic()
    wait_for_success(start([*command, f"output_dir={unbroken}"], record), unbroken)
    seconds = time.monotonic() - began
    lines = sorted(set(record.read_text().splitlines()))
    moments.shuffle(lines)
    boundaries = cycle(lines)
    print(f"the unbroken run took {seconds:.1f} s")
    problems: list[str] = []
    kinds: Counter[str] = Counter()
    rounds = 0
    while kinds.total() < kills and not problems:
        at = next(boundaries) if kinds.total() % 2 else None
        pause = moments.uniform(0, seconds)
        if kill_run([*command, f"output_dir={broken}"], broken, at, pause):
            kinds[at or "a random moment"] += 1
            print(f"kill {kinds.total()} at {at or 'a random moment'}, {rounds} runs ended so far", flush=True)
            problems += damage(broken)
        else:  # it ended before the kill
            problems += [*differences(unbroken, broken), *leftovers(broken)]
            shutil.rmtree(broken)
            rounds += 1
    print(*(f"killed {count:3d} times at {kind}" for kind, count in sorted(kinds.items())), sep="\n")
    wait_for_success(start([*command, f"output_dir={broken}"]), broken)
    print(f"{rounds + 1} runs reached their end and were compared")
    return [*problems, *differences(unbroken, broken), *leftovers(broken)]


def write_photographs(folder: Path, count: int) -> None:
    """Write different crops of the demo's photographs, in their class folders; one file in twenty is broken."""
    write_demo_photographs(folder)
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


def start(arguments: list[str], record: Path | None = None, kill_at: str | None = None) -> BaseProcess:
    """Start ``python -m pipeline ARGUMENTS`` in a process of its own.

    Args:
        arguments: The command line.
        record: A file that gets the system calls that write files, a line each.
        kill_at: The system call before which the process kills itself.
    """
    process = CONTEXT.Process(target=_perform, args=(arguments, record, kill_at))
    process.start()
    return process


def wait_for_success(process: BaseProcess, run: Path) -> None:
    """Wait for the end of a process, which must be a success."""
    process.join()
    if process.exitcode not in (0, 3):  # 3: because of the broken photographs
        raise SystemExit(f"{run} ended with exit status {process.exitcode}: {Path(f'{run}.output').read_text()}")


def kill_run(command: list[str], run: Path, at: str | None, pause: float) -> bool:
    """Start a run and kill it at a system call or, without one, after a pause in seconds; False if it ended before."""
    process = start(command, kill_at=at)
    process.join(None if at else pause)
    if process.is_alive():
        process.kill()
        process.join()
    if process.exitcode == -9:
        return True
    wait_for_success(process, run)
    return False


def damage(run: Path) -> list[str]:
    """List the damage of a killed run, of which there may be only a few files yet."""
    if not (run / "manifest.h5").exists():
        return []
    return [problem.text for problem in verify(run).problems if "missing; task=finish" not in problem.text]


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield the differences between the rows of two runs."""
    first, second = pipeline.open_run(one), pipeline.open_run(other)
    for name, run in (("first", first), ("second", second)):
        failed = [failure.index for failure in run.failures()]
        images = sorted([*run.table()["index"].tolist(), *failed])
        if images != list(range(len(Manifest.open(run.folder)))):
            yield f"not every image of the {name} run is there once: {images}"
    if len(first) != len(second) or sorted(map(str, first.failures())) != sorted(map(str, second.failures())):
        yield f"{len(first)} rows, and {len(second)}; or other failures"
        return
    others = second.table()
    for name, values in first.table().items():
        if values.dtype.kind == "U":  # paths and class names
            if not np.array_equal(values, others[name]):
                yield f"{name} differs"
        elif not np.allclose(values, others[name], rtol=1e-6, atol=1e-6, equal_nan=True):
            yield f"{name} differs"
    for left, right in zip(first, second, strict=True):
        distance = np.abs(left.native - right.native).max()
        if not distance <= TOLERANCE * np.abs(left.native).max():
            yield f"{left} and {right}: maps differ by {distance:.3g}"


def leftovers(run: Path) -> Iterator[str]:
    """Yield the files that a finished run should not have."""
    yield from (f"{path} is left" for pattern in ("*.part", "*.tmp") for path in run.rglob(pattern))
    yield from (problem.text for problem in verify(run).problems)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def _perform(arguments: list[str], record: Path | None, kill_at: str | None) -> None:
    multiprocessing.set_start_method("fork", force=True)  # of decoding processes, as in a process of its own
    output = os.open(f"{arguments[-1].partition('=')[2]}.output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.argv = ["pipeline", *arguments]
    with SystemCalls(record, kill_at):
        command_line()


if __name__ == "__main__":
    main()
