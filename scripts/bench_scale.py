"""Measures what a run costs besides computing, each part in a process of its own, and writes docs/scaling.json.

python scripts/bench_scale.py --files 1000000 --rows 100000000 --shards 100000 --out docs/scaling.json

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

from pipeline.data.index import index_folder
from pipeline.data.paths import Paths
from pipeline.store.layout import shard_path
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze

CLASSES = 1000
SLICE = 2560
"""Images of a shard."""
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, object] = {"machine": f"{platform.machine()}, Python {platform.python_version()}"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lay(root / "files", options.files)
        found["listing"] = {"files": options.files, **apart(listing, root / "files")}
        found["freezing"] = {"rows": options.rows, **apart(freezing, root / "run", options.rows, options.shards)}
        found["slice"] = {"rows": options.rows, "images": SLICE, **apart(slice_of, root / "run")}
        publish_nothing(root / "run", options.shards)
        found["scan"] = {"shards": options.shards, **apart(scan, root / "run")}
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if options.out:
        options.out.write_text(text)


def apart(work: Callable[..., Figures], *arguments: object) -> Figures:
    """What a function measures in a process of its own, and the largest memory that this had, in MB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_apart, args=(there, work, arguments))
    process.start()
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
    paths = Paths(blob.reshape(-1), np.arange(rows + 1, dtype=np.int64) * len(block))
    label = (numbers * CLASSES // rows).astype(np.int32)
    del numbers
    bounds = np.unique(np.linspace(0, rows, shards + 1).astype(np.int64))
    manifest = Manifest(b"/data", paths, label, bounds, {"made up": rows}, ["a class"] * CLASSES, {})
    found = timed(lambda: freeze(run, manifest))
    return {**found, "bytes": (run / "manifest.h5").stat().st_size}


def slice_of(run: Path) -> Figures:
    """Opens a manifest and reads one shard's paths and labels, as a worker does first of all; then once more."""

    def read() -> None:
        manifest = Manifest.open(run)
        first = len(manifest) * 2 // 3
        images = range(first, first + SLICE)
        assert len({manifest.paths.place(image).path for image in images}) == SLICE
        assert len(manifest.labels(slice(first, first + SLICE))) == SLICE

    first, second = timed(read), timed(read)
    return {"cpu_s": first["cpu_s"], "wall_s": first["wall_s"], "again_cpu_s": second["cpu_s"]}


def publish_nothing(run: Path, shards: int) -> None:
    for shard in range(shards):
        path = shard_path(run, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def scan(run: Path) -> Figures:
    """Which shards are published, from their names."""
    ledger = Ledger(run, Manifest.open(run))
    found = timed(lambda: ledger.published())
    assert len(ledger.published()) == ledger.manifest.n_shards
    return found


if __name__ == "__main__":
    main()
