"""Images per second of launch=processes, by the number of processes: IG with 50 nodes, ResNet-18, float32.

Counted from the first shard to the last that is published, so without the start of the processes. Each process has
one core: `--processes 1 2` runs one on one core, two on two; `threads` is one process with two cores, for comparison.
Needs that many idle cores. The order is kept in each round, and the medians are compared.

python scripts/bench_processes.py --processes 1 2 --images 64 --rounds 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from pipeline.data.demo_photographs import write_demo_photographs

IMAGES_A_SHARD = 2
OPTIONS = [
    "method=ig", "n_steps=50", "model=resnet18", "model.weights=null", "device=cpu", "batch_size=2",
    "internal_batch_size=10", f"store.shard_size={IMAGES_A_SHARD}", "report.images=false", "num_workers=0",
]  # fmt: skip


def main() -> None:
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    if max(options.processes) > len(cores):
        raise SystemExit(f"{max(options.processes)} processes, but {len(cores)} cores")
    ways = [(count, count) for count in options.processes] + [(1, max(options.processes))]
    rates: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        write_demo_photographs(Path(folder, "demo"))
        lay_copies(Path(folder, "demo"), Path(folder, "photographs"), options.images)
        for number in range(options.rounds):
            for processes, used in rates:
                run = Path(folder, f"{number}-{processes}-{used}")
                rates[processes, used].append(rate(run, processes, cores[:used]))
    base = statistics.median(rates[ways[0]])
    for (processes, used), found in rates.items():
        median = statistics.median(found)
        spread = " ".join(f"{one:.2f}" for one in found)
        print(f"{processes} processes on {used} cores: {median:.2f} images/s, {median / base:.2f} x ({spread})")


def lay_copies(demo: Path, folder: Path, count: int) -> None:
    """So many photographs of one class, which differ by a crop."""
    sources = sorted(path for path in demo.rglob("*.*"))
    (folder / "n02123159").mkdir(parents=True)
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as image:
            image.convert("RGB").crop((0, 0, 280, 256 + number)).save(folder / "n02123159" / f"{number:05d}.png")


def rate(run: Path, processes: int, cores: list[int]) -> float:
    """Images per second of one run."""
    launch = ["launch=processes", f"launch.workers={processes}", f"data.root={run.parent / 'photographs'}"]
    command = [sys.executable, "-m", "pipeline", *OPTIONS, *launch, f"output_dir={run}"]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, before)
    times = sorted(path.stat().st_mtime for path in run.glob("shards/*/*.h5"))
    begun = 2 * processes  # every process has published by then, as a rule
    return IMAGES_A_SHARD * (len(times) - begun) / (times[-1] - times[begun - 1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
