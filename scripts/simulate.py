"""What a run of a thousand to a billion images takes, from measured constants: the figures of docs/scaling.md.

python scripts/simulate.py                     the tables of the page
python scripts/simulate.py --rate 40           the same for a device that explains 40 images a second (task=plan tells)
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
SHARD_BYTES, SHARDS_PER_WORKER, LEAST_IMAGES = 256e6, 100, 8  # as pipeline/run/sizes.py has them
MAPS = {
    "IG, all channels": (3, 224, 224),
    "IG": (1, 224, 224),
    "occlusion, windows of 15 at 8": (1, 28, 28),
    "occlusion, windows of 45 at 9": (1, 21, 21),
    "Grad-CAM": (1, 7, 7),
}
"""Values stored of an image of 224 x 224; of occlusion and Grad-CAM the grid that was computed."""
DTYPES = {"float32": 4, "float16": 2}
DAY = 86400.0


@dataclass(frozen=True)
class Machines:
    """Workers and what they have to do.

    Attributes:
        seconds: What each shard takes a worker at speed 1.
        speeds: Of each worker.
    """

    seconds: np.ndarray
    speeds: np.ndarray

    @property
    def ideal(self) -> float:
        """Seconds, if the work could be poured."""
        return float(self.seconds.sum() / self.speeds.sum())


class Imagined(Ledger):
    """The ledger of a run of which only the published shards matter, one image each.

    Args:
        shards: How many there are.
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
    """Lets workers take the shards that the pipeline's own ledger gives them.

    Args:
        machines: The workers and their shards.
        helping: Whether they take others' shards when theirs are done.

    Returns:
        Seconds until all shards are published, over the ideal; and how many were computed in vain.
    """
    shards, workers = len(machines.seconds), len(machines.speeds)
    ledger, doubled, end = Imagined(shards), 0, 0.0
    left = [ledger.pending(worker, workers) for worker in range(workers)]
    events: list[tuple[float, int, int]] = []

    def take(worker: int, now: float) -> None:
        shard = next(left[worker], None)
        if shard is not None and (helping or shard % workers == worker):
            heapq.heappush(events, (now + machines.seconds[shard] / machines.speeds[worker], worker, shard))

    for worker in range(workers):
        take(worker, 0.0)
    while len(ledger.done) < shards:
        end, worker, shard = heapq.heappop(events)
        doubled += int(shard in ledger.done)
        ledger.done.add(shard)
        take(worker, end)
    return end / machines.ideal, doubled + len(events)  # what is under way then is in vain too


def fleets(workers: int) -> dict[str, np.ndarray]:
    """Speeds of workers, by what they are called."""
    draws = np.random.default_rng(0)
    slow = np.ones(workers)
    slow[::20] = 1 / 3
    return {
        "all alike": np.ones(workers),
        "speeds within 10 %": draws.uniform(0.9, 1.1, workers),
        "5 % three times slower": slow,
    }


def schedule() -> Iterator[list[str]]:
    yield ["shards", "workers", "machines", "dealt only, / ideal", "with helping, / ideal", "computed twice"]
    for shards in (2000, 10_000):
        seconds = np.random.default_rng(shards).uniform(0.65, 1.35, shards)  # 20 % from one shard to the next
        for name, speeds in fleets(WORKERS).items():
            machines = Machines(seconds, speeds)
            (dealt, _), (helped, doubled) = (makespan(machines, helping=helping) for helping in (False, True))
            yield [f"{shards:,}", str(WORKERS), name, f"{dealt:.2f}", f"{helped:.2f}", f"{doubled / shards:.1%}"]


def row_bytes(values: int, width: int) -> int:
    """Bytes of an image in the store, as pipeline/run/sizes.py has it: its map, the logits, the other columns."""
    return values * width + 4 * CLASSES + 64


def output() -> Iterator[list[str]]:
    yield ["map", "stored as", "a map", *(f"{size:.0e} images".replace("e+0", "e") for size in SIZES[::2])]
    for name, shape in MAPS.items():
        for dtype, width in DTYPES.items():
            size = row_bytes(int(np.prod(shape)), width)
            yield [
                name,
                f"{'x'.join(map(str, shape))} {dtype}",
                in_bytes(size),
                *(in_bytes(size * n) for n in SIZES[::2]),
            ]


def steps(constants: dict[str, Any], rate: float) -> Iterator[list[str]]:
    """A run of IG maps in float16 on 100 workers, step by step."""
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
            in_time(listing["cpu_s"] / listing["files"] * images),
            in_bytes(listing["peak_mb"] * 1e6 / listing["files"] * images),
            in_time(freezing["cpu_s"] / freezing["rows"] * images),
            in_bytes(freezing["bytes"] / freezing["rows"] * images),
            f"{shards:,}",
            f"{per_shard:,}",
            in_time(scan["cpu_s"] / scan["shards"] * shards),
            in_time(merge["cpu_s"] / merge["shards"] * shards),
            in_bytes(size * images),
            f"{significant(images / rate / DAY)} days / {WORKERS} = {in_time(images / rate / WORKERS)}",
        ]


def tables(constants: dict[str, Any], rate: float | None = None) -> str:
    """All tables, in Markdown."""
    measured = constants["rate"]
    rate = rate or measured["images_per_s"]
    found = constants["slice"]
    said = (
        f"Computing at {significant(rate)} images a second and worker"
        + (f" ({measured['what']})" if rate == measured["images_per_s"] else "")
        + f". A worker opens a manifest of {found['rows']:,} images and reads {found['images']:,} of them in "
        f"{found['cpu_s'] * 1e3:.0f} ms of CPU, with {found['peak_mb']:.0f} MB of memory in all.\n"
    )
    parts = [said, _markdown(steps(constants, rate)), _markdown(output()), _markdown(schedule())]
    return "\n".join(parts)


def _markdown(rows: Iterator[list[str]]) -> str:
    heading = next(rows)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading), *lines]) + "\n"


def in_time(seconds: float) -> str:
    for unit, length in (("days", DAY), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 1.5 * length:
            return f"{significant(seconds / length)} {unit}"
    return f"{significant(seconds * 1e3)} ms"


def in_bytes(count: float) -> str:
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if count < 999.5 * 1000**power), len(units) - 1)
    return f"{significant(count / 1000**power)} {units[power]}"


def significant(value: float) -> str:
    """Two digits, and all that are before the point."""
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
