"""Soak test: run, resume, verify and report repeatedly in one process; memory, open files and threads must not grow.

python scripts/soak.py --minutes 30
python scripts/soak.py --images 2000 20000   peak memory of runs of 2000 and 20000 tiny images, a process each
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
from crash_test import write_photographs
from PIL import Image
from tiny import OPTIONS

from pipeline.__main__ import main as command_line

MAX_GROWTH = 0.03


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        grew = (
            peak_grows(Path(scratch), options.images) if options.images else soak(Path(scratch), options.minutes * 60)
        )
    sys.exit(grew)


def soak(folder: Path, seconds: float) -> bool:
    """Return whether a resource grew from the second quarter of the rounds on."""
    write_photographs(folder / "photographs", 40)
    data, run = f"data.root={folder / 'photographs'}", f"output_dir={folder / 'run'}"
    until, samples = time.monotonic() + seconds, [resources()]
    while time.monotonic() < until or len(samples) < 4:
        for method in ("saliency", "ig", "occlusion"):
            options = ["n_steps=5"] if method == "ig" else []
            job = [data, *OPTIONS, f"method={method}", *options, "store.shard_size=8", "num_workers=1", run]
            expected(3, [*job, "batch_size=4"])
            next(iter((folder / "run" / "shards").rglob("*2.h5"))).unlink()
            expected(3, job)
            expected(0, ["task=verify", f"run={folder / 'run'}"])
            expected(0, ["task=report", f"run={folder / 'run'}"])
            shutil.rmtree(folder / "run")
        samples.append(resources())
        print(f"round {len(samples) - 1}: {samples[-1]}", flush=True)
    first, last = samples[len(samples) // 4 + 1], samples[-1]
    grown = {name: (first[name], last[name]) for name in last if last[name] > first[name] * (1 + MAX_GROWTH)}
    print(f"{len(samples) - 1} rounds in {seconds / 60:.0f} minutes; grown: {grown or 'nothing'}")
    return bool(grown)


def resources() -> dict[str, int]:
    """Measure resident memory in MB, open files, threads, and hooks of all modules in memory."""
    gc.collect()
    modules = [one for one in gc.get_objects() if isinstance(one, torch.nn.Module)]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "megabytes": pages * resource.getpagesize() // 10**6,
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - pathlib would open one more
        "threads": threading.active_count(),
        "hooks": sum(
            len(one._forward_hooks) + len(one._backward_hooks) + len(one._forward_pre_hooks) for one in modules
        ),
    }


def expected(status: int, arguments: list[str]) -> None:
    """Run a command line in this process, and check its exit status."""
    sys.argv = ["pipeline", *arguments]
    try:
        command_line()
    except SystemExit as ended:
        assert ended.code == status, f"{arguments} ended with {ended.code}"


def peak_grows(folder: Path, counts: list[int]) -> bool:
    """Return whether the peak memory of the last run is above that of the first, which has fewer images."""
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
    return peaks[-1] > peaks[0] * (1 + MAX_GROWTH)


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
