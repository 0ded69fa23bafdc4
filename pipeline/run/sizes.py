"""How large a run is, and whether there is room for it."""

import logging
import math
import shutil
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.run.job import Job
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import is_object

log = logging.getLogger(__name__)

SHARD_BYTES = 256e6
SHARDS_PER_WORKER = 100


def shard_size(job: Job) -> int:
    """Images in a shard: few enough bytes, and enough shards to share, but no less than a batch."""
    if job.config["store"]["shard_size"] is not None:
        return max(1, int(job.config["store"]["shard_size"]))
    shared = -(-len(job.labels) // (SHARDS_PER_WORKER * job.config["launch"]["workers"]))
    return int(max(1, min(SHARD_BYTES // row_bytes(job), max(shared, job.batch_size))))


def shard_starts(job: Job) -> np.ndarray:
    """First image of each shard and, last, the number of images, int64; an archive of images is a shard.

    Raises:
        UsageError: A size is asked for where archives are the shards.
    """
    images = len(job.labels)
    if job.index.archive is None:
        return np.append(np.arange(0, images, shard_size(job)), images).astype(np.int64)
    if job.config["store"]["shard_size"] is not None:
        raise UsageError("store.shard_size: an archive is a shard with data=webdataset; leave store.shard_size=null")
    return np.concatenate([[0], np.flatnonzero(np.diff(job.index.archive)) + 1, [images]]).astype(np.int64)


def row_bytes(job: Job) -> int:
    """Bytes that an image takes in the store."""
    width = {"float16": 2, "float32": 4, "float64": 8}[job.config["store"]["dtype"]]
    others = 4 * job.classifier.n_outputs + 64
    return targets_per_image(job) * (width * int(np.prod(job.geometry.native_shape)) + others)


def targets_per_image(job: Job) -> int:
    """Explanations of each image."""
    target = job.config["target"]
    if isinstance(target, list):
        return len(target)
    return int(target[3:]) if isinstance(target, str) and target.startswith("top") else 1


def free_bytes(folder: Path) -> float:
    """Free bytes where a folder is, or will be; of an object store nobody knows an end."""
    if is_object(folder):
        return math.inf
    there = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    return shutil.disk_usage(there).free


def warn_if_disk_too_small(job: Job, manifest: Manifest, published: int) -> None:
    """Warns if what is left to do will hardly fit on the disk.

    Args:
        job: Which is to be done.
        manifest: Its images and shards.
        published: How many of these images are done.
    """
    largest = int(np.diff(manifest.shards).max())  # is twice there: its parts stay until it is published
    needed, free = (len(manifest) - published + largest) * row_bytes(job), free_bytes(job.run)
    if published < len(manifest) and needed > free:
        log.warning(
            "the disk of %s will hardly do: about %s are needed, %s are free (store.dtype, store.channels and "
            "store.filter decide the size)",
            job.run,
            format_bytes(needed),
            format_bytes(free),
        )


def format_bytes(count: float) -> str:
    """A number of bytes with three digits and a unit."""
    if math.isinf(count):
        return "no end known"
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if count < 1000 ** (power + 1)), len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"
