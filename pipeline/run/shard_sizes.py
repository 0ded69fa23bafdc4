"""Sizes of a run: shards, rows, bytes, and the free space of the disk."""

import logging
import math
import shutil
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.run.job import Job
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import is_object_path

log = logging.getLogger(__name__)

SHARD_BYTES = 256e6
SHARDS_PER_WORKER = 100


def shard_size(job: Job) -> int:
    """Images in a shard: at most 256 MB of rows and a hundredth of a worker's part, but no less than a batch."""
    if job.options.store.shard_size is not None:
        return job.options.store.shard_size
    shared = -(-len(job.labels) // (SHARDS_PER_WORKER * job.options.launch.workers))  # rounded up
    return int(max(1, min(SHARD_BYTES // row_bytes(job), max(shared, job.batch_size))))


def shard_starts(job: Job) -> np.ndarray:
    """First image of each shard and, last, the number of images, int64; an archive of images is a shard.

    Raises:
        UsageError: A shard size is given although each archive is a shard.
    """
    images = len(job.labels)
    if job.index.archive is None:
        return np.append(np.arange(0, images, shard_size(job)), images).astype(np.int64)
    if job.options.store.shard_size is not None:
        raise UsageError("store.shard_size: an archive is a shard with data=webdataset; leave store.shard_size=null")
    return np.concatenate([[0], np.flatnonzero(np.diff(job.index.archive)) + 1, [images]]).astype(np.int64)


def row_bytes(job: Job) -> int:
    """Bytes of an image's rows in the store: maps, float32 logits and some 64 bytes of other columns."""
    width = {"float16": 2, "float32": 4, "float64": 8}[job.options.store.dtype]
    others = 4 * job.classifier.n_outputs + 64
    return targets_per_image(job) * (width * int(np.prod(job.geometry.native_shape)) + others)


def targets_per_image(job: Job) -> int:
    """Number of explanations of each image."""
    target = job.options.target
    if isinstance(target, list):
        return len(target)
    return int(target[3:]) if isinstance(target, str) and target.startswith("top") else 1


def free_bytes(folder: Path) -> float:
    """Free bytes where a folder is, or will be; infinite for an object store."""
    if is_object_path(folder):
        return math.inf
    existing = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    return shutil.disk_usage(existing).free


def warn_if_disk_too_small(job: Job, manifest: Manifest, published: int) -> None:
    """Warns if the pending rows may not fit on the disk.

    Args:
        job: The job.
        manifest: Its images and shards.
        published: Number of images whose rows are published.
    """
    largest = int(np.diff(manifest.shards).max())  # on the disk twice: parts stay until their shard is published
    needed, free = (len(manifest) - published + largest) * row_bytes(job), free_bytes(job.run)
    if published < len(manifest) and needed > free:
        log.warning(
            "the disk of %s may be too small: about %s are needed, %s are free (store.dtype, store.channels and "
            "store.filter decide the size)",
            job.run,
            format_bytes(needed),
            format_bytes(free),
        )


def format_bytes(count: float) -> str:
    """Format a number of bytes with three digits and a unit."""
    if math.isinf(count):
        return "unlimited"
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if count < 1000 ** (power + 1)), len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"
