"""Merges the summaries of very many shards, made up for it, as `task=finish` does first: seconds and memory.

The shards are empty files; what they would hold, 2,560 images of one or two classes each, is in their summaries alone.

python scripts/bench_merge.py --shards 100000
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.quantile_sketch import Sketch
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.schema import SCHEMA_VERSION
from pipeline.store.shard_summary import encode_summary, sum_summaries

IMAGES, CLASSES = 2560, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000)
    shards = parser.parse_args().shards
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        size = make(run, shards)
        print(f"{shards} summaries of {size / shards / 1e3:.1f} kB, for {IMAGES} images each")
        began, worked = time.perf_counter(), time.process_time()
        ledger = Ledger(run, Manifest.open(run))
        sums = sum_summaries(ledger.summary(shard) for shard in sorted(ledger.published()))
        wall, cpu = time.perf_counter() - began, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"merging took {wall:.1f} s ({cpu:.1f} s of CPU), {peak:.0f} MB: {sums.rows} explanations")
        assert sums.rows == sum(one.n for one in sums.classes.values()) == shards * IMAGES - len(sums.failed)


def make(run: Path, shards: int) -> int:
    """A run whose published shards are empty and whose summaries are as large as real ones; their bytes."""
    # A shard has one row of the manifest here: merging never looks at single images.
    paths = ImagePaths.from_bytes(b"%08d.jpg" % number for number in range(shards))
    label = (np.arange(shards) * CLASSES // shards).astype(np.int32)
    names = [f"class {number}" for number in range(CLASSES)]
    bounds = np.arange(shards + 1, dtype=np.int64)
    freeze_manifest(run, Manifest(b"/data", paths, label, bounds, {"made up": shards}, names, {}))
    draws, size = np.random.default_rng(0), 0
    for shard in range(shards):
        path = shard_path(run, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        text = encode_summary(_summary(shard, int(label[shard]), draws))
        summary_path(run, shard).write_bytes(text)
        size += len(text)
    return size


def _summary(shard: int, label: int, draws: np.random.Generator) -> dict[str, object]:
    failed = [[shard, "read", "the file is empty"]] if shard % 10 == 0 else []
    parts = [(label, IMAGES * 3 // 4 - len(failed)), ((label + 1) % CLASSES, IMAGES // 4)]
    return {
        "schema_version": SCHEMA_VERSION, "sha256": f"{shard:064x}", "bytes": 250_000_000, "range": [shard, shard + 1],
        "rows": IMAGES - len(failed), "failures": len(failed), "failed": failed, "evaluations": 200 * IMAGES,
        "classes": {
            str(number): {
                "n": n, "correct": n // 2, "confidence_sum": 0.7 * n,
                "failures": len(failed) if number == label else 0,
                "convergence_delta": Sketch.of(draws.lognormal(-3, 1.5, n)).to_json(),
                "error_estimate": Sketch.of(np.full(n, np.nan)).to_json(),
            }
            for number, n in parts
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
