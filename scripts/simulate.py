"""Simulate runs of a thousand to a billion images from measured constants, for the tables of docs/scaling.md.

python scripts/simulate.py                     prints the tables
python scripts/simulate.py --rate 40           the same for a device that explains 40 images a second (see task=plan)
python scripts/simulate.py --page docs/scaling.md      writes them into the page
"""

import argparse
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest

ROOT = Path(__file__).parents[1]
CONSTANTS = ROOT / "docs" / "scaling.json"
BEGIN, END = "<!-- begin simulated -->\n", "<!-- end simulated -->\n"
SIZES = tuple(10**power for power in range(3, 10))
WORKERS = 100
CLASSES = 1000
SHARD_BYTES, SHARDS_PER_WORKER, LEAST_IMAGES = 256e6, 100, 8  # as in pipeline/run/shard_sizes.py
MAPS = {
    "IG, all channels": (3, 224, 224),
    "IG": (1, 224, 224),
    "occlusion, windows of 15 at 8": (1, 28, 28),
    "occlusion, windows of 45 at 9": (1, 21, 21),
    "Grad-CAM": (1, 7, 7),
}
"""Stored shape of the map of an image of 224 x 224 pixels; for occlusion and Grad-CAM, the grid that was computed."""
DTYPES = {"float32": 4, "float16": 2}
DAY = 86400.0


@dataclass(frozen=True)
class Machines:
    """Workers and their shards.

    Attributes:
        seconds: Seconds that each shard takes a worker of speed 1.
        speeds: Speed of each worker.
    """

    seconds: np.ndarray
    speeds: np.ndarray

    @property
    def ideal(self) -> float:
        """Seconds if the work were divisible without limit."""
        return float(self.seconds.sum() / self.speeds.sum())


class SimulatedLedger(Ledger):
    """The ledger of a run without files, one image a shard.

    Args:
        shards: Number of shards.
    """

    def __init__(self, shards: int) -> None:
        paths = ImagePaths.from_bytes(b"%d" % shard for shard in range(shards))
        label, bounds = np.zeros(shards, np.int32), np.arange(shards + 1, dtype=np.int64)
        super().__init__(Path(), Manifest(b"", paths, label, bounds, {}, [], {}))
        self.done: set[int] = set()

    def published(self) -> set[int]:
        return set(self.done)

    def is_published(self, shard: int) -> bool:
        return shard in self.done


def makespan(machines: Machines, *, helping: bool) -> tuple[float, int]:
    """Simulate workers that take shards in the order of the pipeline's own ledger.

    Args:
        machines: The workers and their shards.
        helping: Whether workers take others' shards when their own are done.

    Returns:
        Seconds until all shards are published, over the ideal; and the number of shards that were computed twice.
    """
    shards, workers = len(machines.seconds), len(machines.speeds)
    ledger, twice, end = SimulatedLedger(shards), 0, 0.0
    pending = [ledger.pending(worker, workers) for worker in range(workers)]
    events: list[tuple[float, int, int]] = []

    def take(worker: int, now: float) -> None:
        shard = next(pending[worker], None)
        if shard is not None and (helping or shard % workers == worker):
            heapq.heappush(events, (now + machines.seconds[shard] / machines.speeds[worker], worker, shard))

    for worker in range(workers):
        take(worker, 0.0)
    while len(ledger.done) < shards:
        end, worker, shard = heapq.heappop(events)
        twice += int(shard in ledger.done)
        ledger.done.add(shard)
        take(worker, end)
    return end / machines.ideal, twice + len(events)  # the shards in work at the end are published already


def fleets(workers: int) -> dict[str, np.ndarray]:
    """Speeds of workers, by the name of the fleet."""
    draws = np.random.default_rng(0)
    slow = np.ones(workers)
    slow[::20] = 1 / 3
    return {
        "all alike": np.ones(workers),
        "speeds within 10 %": draws.uniform(0.9, 1.1, workers),
        "5 % three times slower": slow,
    }


def schedule() -> Iterator[list[str]]:
    yield ["shards", "workers", "machines", "own shards only, / ideal", "with helping, / ideal", "computed twice"]
    for shards in (2000, 10_000):
        seconds = np.random.default_rng(shards).uniform(0.65, 1.35, shards)  # 20 % from one shard to the next
        for name, speeds in fleets(WORKERS).items():
            machines = Machines(seconds, speeds)
            (own, _), (helped, twice) = (makespan(machines, helping=helping) for helping in (False, True))
            yield [f"{shards:,}", str(WORKERS), name, f"{own:.2f}", f"{helped:.2f}", f"{twice / shards:.1%}"]


def row_bytes(values: int, width: int) -> int:
    """Bytes of an image in the store, as in pipeline/run/shard_sizes.py: its map, the logits, the other columns."""
    return values * width + 4 * CLASSES + 64


def output() -> Iterator[list[str]]:
    yield ["map", "stored as", "a map", *(f"{size:.0e} images".replace("e+0", "e") for size in SIZES[::2])]
    for name, shape in MAPS.items():
        for dtype, width in DTYPES.items():
            size = row_bytes(int(np.prod(shape)), width)
            yield [
                name,
                f"{'x'.join(map(str, shape))} {dtype}",
                format_bytes(size),
                *(format_bytes(size * n) for n in SIZES[::2]),
            ]


def steps(constants: dict[str, Any], rate: float) -> Iterator[list[str]]:
    """Yield time and size of each step of a run of IG maps in float16 on 100 workers."""
    yield ["images", "listing", "its memory", "freezing", "manifest", "shards", "images a shard", "scan of shards",
           "merge", "output", "computing"]  # fmt: skip
    listing, freezing, scan, merge = (constants[name] for name in ("listing", "freezing", "scan", "merge"))
    size = row_bytes(224 * 224, 2)
    for images in SIZES:
        per_shard = int(
            max(1, min(SHARD_BYTES // size, max(-(-images // (SHARDS_PER_WORKER * WORKERS)), LEAST_IMAGES)))
        )
        shards = -(-images // per_shard)
        yield [
            f"{images:.0e}".replace("e+0", "e"),
            format_seconds(listing["cpu_s"] / listing["files"] * images),
            format_bytes(listing["peak_mb"] * 1e6 / listing["files"] * images),
            format_seconds(freezing["cpu_s"] / freezing["rows"] * images),
            format_bytes(freezing["bytes"] / freezing["rows"] * images),
            f"{shards:,}",
            f"{per_shard:,}",
            format_seconds(scan["cpu_s"] / scan["shards"] * shards),
            format_seconds(merge["cpu_s"] / merge["shards"] * shards),
            format_bytes(size * images),
            f"{format_number(images / rate / DAY)} days / {WORKERS} = {format_seconds(images / rate / WORKERS)}",
        ]


def tables(constants: dict[str, Any], rate: float | None = None) -> str:
    """Format all tables in Markdown."""
    measured = constants["rate"]
    rate = rate or measured["images_per_s"]
    part = constants["slice"]
    heading = (
        f"Computing at {format_number(rate)} images a second and worker"
        + (f" ({measured['what']})" if rate == measured["images_per_s"] else "")
        + f". A worker opens a manifest of {part['rows']:,} images and reads {part['images']:,} of them in "
        f"{part['cpu_s'] * 1e3:.0f} ms of CPU, with {part['peak_mb']:.0f} MB of memory in all.\n"
    )
    parts = [heading, _markdown(steps(constants, rate)), _markdown(output()), _markdown(schedule())]
    return "\n".join(parts)


def _markdown(rows: Iterator[list[str]]) -> str:
    heading = next(rows)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading), *lines]) + "\n"


def format_seconds(seconds: float) -> str:
    for unit, length in (("days", DAY), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 1.5 * length:
            return f"{format_number(seconds / length)} {unit}"
    return f"{format_number(seconds * 1e3)} ms"


def format_bytes(count: float) -> str:
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if count < 999.5 * 1000**power), len(units) - 1)
    return f"{format_number(count / 1000**power)} {units[power]}"


def format_number(value: float) -> str:
    """Format two significant digits, or all digits before the point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, help="images a second on one worker's device")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    text = tables(json.loads(CONSTANTS.read_text()), options.rate)
    if options.page is None:
        print(text, end="")
        return
    before, rest = options.page.read_text().split(BEGIN)
    options.page.write_text(before + BEGIN + text + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
