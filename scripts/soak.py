"""Runs, resumes, verifies and reports in one process, over and over, and watches memory, open files, threads and hooks.

python scripts/soak.py --minutes 30
python scripts/soak.py --images 2000 20000   peak memory of a run of so many tiny images, each in a process of its own
"""

import argparse
import gc
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from crash_test import lay_photographs
from PIL import Image
from tiny import OPTIONS

from pipeline.__main__ import main as command_line

MOST_GROWTH = 0.03


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        bad = flat(Path(scratch), options.images) if options.images else soak(Path(scratch), options.minutes * 60)
    sys.exit(bad)


def soak(folder: Path, seconds: float) -> bool:
    """Whether anything grew from the second quarter of the rounds on."""
    lay_photographs(folder / "photographs", 40)
    data, run = f"data.root={folder / 'photographs'}", f"output_dir={folder / 'run'}"
    until, seen = time.monotonic() + seconds, [watched()]
    while time.monotonic() < until or len(seen) < 4:
        for method in ("saliency", "ig", "occlusion"):
            options = ["n_steps=5"] if method == "ig" else []
            job = [data, *OPTIONS, f"method={method}", *options, "store.shard_size=8", "num_workers=1", run]
            expected(3, [*job, "batch_size=4"])
            next(iter((folder / "run" / "shards").rglob("*2.h5"))).unlink()
            expected(3, job)
            expected(0, ["task=verify", f"run={folder / 'run'}"])
            expected(0, ["task=report", f"run={folder / 'run'}"])
            shutil.rmtree(folder / "run")
        seen.append(watched())
        print(f"round {len(seen) - 1}: {seen[-1]}", flush=True)
    first, last = seen[len(seen) // 4 + 1], seen[-1]
    grown = {name: (first[name], last[name]) for name in last if last[name] > first[name] * (1 + MOST_GROWTH)}
    print(f"{len(seen) - 1} rounds in {seconds / 60:.0f} minutes; grown: {grown or 'nothing'}")
    return bool(grown)


def watched() -> dict[str, int]:
    """What must not grow: resident memory in MB, open files, threads, hooks of living modules."""
    gc.collect()
    modules = [one for one in gc.get_objects() if isinstance(one, torch.nn.Module)]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "megabytes": pages * resource.getpagesize() // 10**6,
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a path of each would be an open file more
        "threads": threading.active_count(),
        "hooks": sum(
            len(one._forward_hooks) + len(one._backward_hooks) + len(one._forward_pre_hooks) for one in modules
        ),
    }


def expected(status: int, arguments: list[str]) -> None:
    """Gives a command line in this process, which must end so."""
    sys.argv = ["pipeline", *arguments]
    try:
        command_line()
    except SystemExit as ended:
        assert ended.code == status, f"{arguments} ended with {ended.code}"


def flat(folder: Path, counts: list[int]) -> bool:
    """Whether the peak of the largest run is above that of the smallest."""
    peaks: list[int] = []
    for count in counts:
        images = folder / f"images{count}"
        images.mkdir()
        Image.effect_noise((24, 20), 80).convert("RGB").save(images / "0.png")
        for number in range(1, count):
            (images / f"{number}.png").hardlink_to(images / "0.png")
        queue = multiprocessing.get_context("spawn").Queue()
        run = [f"data.root={images}", "data.labels=false", *OPTIONS, "num_workers=0", "batch_size=32",
               f"output_dir={folder / f'run{count}'}"]  # fmt: skip
        process = multiprocessing.get_context("spawn").Process(target=_peak, args=(run, queue))
        process.start()
        peaks.append(queue.get())
        process.join()
        print(f"{count} images: at most {peaks[-1] / 1e3:.1f} MB, {peaks[-1] / peaks[0] - 1:+.2%}", flush=True)
        shutil.rmtree(folder / f"run{count}")
    return peaks[-1] > peaks[0] * (1 + MOST_GROWTH)


def _peak(arguments: list[str], queue: "multiprocessing.Queue[int]") -> None:
    expected(0, arguments)
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--images", type=int, nargs="+", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
