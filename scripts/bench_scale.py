"""Measures what a run costs besides computing, each part in a process of its own, and writes docs/scaling.json.

python scripts/bench_scale.py --files 1000000 --rows 100000000 --shards 100000 --out docs/scaling.json
python scripts/bench_scale.py --parts merge rate --out docs/scaling.json      some of it again

CPU seconds are given, so that another process on the same core does not count; seconds by the clock beside them.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from bench_merge import make

from pipeline.data.image_index import index_folder
from pipeline.data.image_paths import ImagePaths
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.run_files import shard_path
from pipeline.store.shard_summary import sum_summaries

ROOT = Path(__file__).parents[1]
CLASSES = 1000
SLICE = 2560
"""Images of a shard."""
Figures = dict[str, float]


PARTS = ("listing", "manifest", "merge", "rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--merged", type=int, default=5000, help="summaries of shards")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    found["machine"] = f"{platform.machine()}, one core, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            found |= measure(part, Path(folder), options)
            if options.out:
                options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def measure(part: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """One of `PARTS`, in an empty folder."""
    if part == "listing":
        lay(folder / "files", options.files)
        return {"listing": {"files": options.files, **apart(listing, folder / "files")}}
    if part == "manifest":
        freezing_took = apart(freezing, folder / "run", options.rows, options.shards)
        slice_took = apart(slice_of, folder / "run")
        publish_nothing(folder / "run", options.shards)
        return {
            "freezing": {"rows": options.rows, **freezing_took},
            "slice": {"rows": options.rows, "images": SLICE, **slice_took},
            "scan": {"shards": options.shards, **apart(scan, folder / "run")},
        }
    if part == "merge":
        return {"merge": {"shards": options.merged, **apart(merging, folder / "merged", options.merged)}}
    return {"rate": rate()}


def apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    """Result of a function in a process of its own, and the peak memory of that process, in MB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_apart, args=(there, work, arguments))
    process.start()
    there.close()  # so that its end is seen here
    found: Figures = here.recv()
    process.join()
    return found


def _apart(pipe: Connection, work: Callable[..., Figures], arguments: tuple[object, ...]) -> None:
    found = work(*arguments)
    pipe.send({**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3})


def timed(work: Callable[[], object]) -> Figures:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def lay(root: Path, files: int) -> None:
    """Tiny files in class folders, under names as long as ImageNet's."""
    for number in range(CLASSES):
        folder = root / f"n{number:08d}"
        folder.mkdir(parents=True)
        where = os.open(folder, os.O_RDONLY)
        for image in range(number, files, CLASSES):
            os.close(os.open(f"ILSVRC2012_val_{image:08d}.JPEG", os.O_CREAT | os.O_WRONLY, dir_fd=where))
        os.close(where)


def listing(root: Path) -> Figures:
    return timed(lambda: index_folder(root))


def freezing(run: Path, rows: int, shards: int) -> Figures:
    """A manifest of paths of 38 bytes each, made up; the time is that of digests, writing and opening it again."""
    block = np.frombuffer(b"n%08d/ILSVRC2012_val_%08d.JPEG" % (0, 0), np.uint8)
    blob = np.tile(block, (rows, 1))
    numbers = np.arange(rows)
    for place in range(8):  # the last digits of each path are its number
        blob[:, len(block) - 6 - place] = ord("0") + numbers // 10**place % 10
    paths = ImagePaths(blob.reshape(-1), np.arange(rows + 1, dtype=np.int64) * len(block))
    label = (numbers * CLASSES // rows).astype(np.int32)
    del numbers
    bounds = np.unique(np.linspace(0, rows, shards + 1).astype(np.int64))
    manifest = Manifest(b"/data", paths, label, bounds, {"made up": rows}, ["a class"] * CLASSES, {})
    found = timed(lambda: freeze_manifest(run, manifest))
    return {**found, "bytes": (run / "manifest.h5").stat().st_size}


def slice_of(run: Path) -> Figures:
    """Opens a manifest and reads one shard's paths and labels, as a worker does first of all; then once more."""

    def read() -> None:
        manifest = Manifest.open(run)
        first = len(manifest) * 2 // 3
        images = range(first, first + SLICE)
        assert len({manifest.paths.location(image).path for image in images}) == SLICE
        assert len(manifest.labels(slice(first, first + SLICE))) == SLICE

    first, second = timed(read), timed(read)
    return {"cpu_s": first["cpu_s"], "wall_s": first["wall_s"], "again_cpu_s": second["cpu_s"]}


def publish_nothing(run: Path, shards: int) -> None:
    for shard in range(shards):
        path = shard_path(run, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def scan(run: Path) -> Figures:
    """Numbers of the published shards, from their names."""
    ledger = Ledger(run, Manifest.open(run))
    found = timed(lambda: ledger.published())
    assert len(ledger.published()) == ledger.manifest.n_shards
    return found


def merging(run: Path, shards: int) -> Figures:
    """Adds up the summaries of a run's shards, which are made up."""
    run.mkdir()
    make(run, shards)
    ledger = Ledger(run, Manifest.open(run))
    return timed(lambda: sum_summaries(ledger.summary(shard) for shard in range(shards)))


def rate() -> dict[str, object]:
    """Throughput of one core, as scripts/bench.py measured it."""
    rows = [json.loads(line) for line in (ROOT / "docs" / "benchmarks.jsonl").read_text().splitlines()]
    row = next(row for row in rows if row["work"] == "ig 50" and row["network"] == "resnet18")
    return {"images_per_s": 1 / row["ours"], "what": "measured: IG of a ResNet-18 in 50 steps on one CPU core"}


if __name__ == "__main__":
    main()
