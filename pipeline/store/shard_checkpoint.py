"""Checkpoints: what survives a kill of a shard that is not published yet.

The writer saves the finished rows of each unfinished shard every ``store.checkpoint_seconds``, and once more when the
run ends for any reason but a kill. A checkpoint is one file ``shards/NNN/SSSSSSS.rows-A-B.part``: the rows that are new
since the last one, as an HDF5 file like a shard's, with a sha256 behind it. It is published atomically. So a kill loses
at most ``store.checkpoint_seconds`` plus one batch of work, and never damages what was saved before.

A worker that resumes the shard, on this machine or another, restores its rows from all its checkpoints and computes
only the other images. Saving a row twice is harmless: the first copy is used. The worker that publishes the shard
removes its checkpoints.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.store.atomic import publish
from pipeline.store.checksum import append_checksum, check_checksum
from pipeline.store.manifest import Manifest
from pipeline.store.run_files import SHARDS, read_run_file, shard_path
from pipeline.store.schema import Rows
from pipeline.store.shard import decode_rows

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<shard>\d{7,})\.rows-(?P<first>\d+)-(?P<last>\d+)\.part")


def save_checkpoint(run: Path, shard: int, images: np.ndarray, data: memoryview) -> None:
    """Save rows of an unfinished shard, atomically and durably.

    Args:
        run: The run's folder.
        shard: Number of the shard.
        images: Numbers of the images that they are of, ascending, at least one; the first and last name the file.
        data: The rows, as :func:`pipeline.store.shard.encode_rows` gives them.

    Raises:
        StoreError: It cannot be written.
    """
    path = shard_path(run, shard).with_name(f"{shard:07d}.rows-{images[0]}-{images[-1]}.part")
    publish(append_checksum(data), path)


def load_checkpoints(run: Path, manifest: Manifest, shard: int) -> list[Rows]:
    """Restore the finished rows of an unfinished shard.

    A damaged checkpoint, or one of another job, is removed with a warning. One that vanishes meanwhile is skipped: the
    worker that published the shard removed it.

    Raises:
        StoreError: One cannot be read.
    """
    paths = checkpoint_paths(run, shard)
    return [rows for path in paths if (rows := _load(path, run, manifest, shard)) is not None]


def checkpoint_paths(run: Path, shard: int) -> list[Path]:
    """List the checkpoints of a shard that exist now."""
    return sorted(shard_path(run, shard).parent.glob(f"{shard:07d}.rows-*.part"))


def remove_checkpoints(run: Path, shard: int) -> None:
    """Remove the checkpoints of a shard, which is published."""
    for path in checkpoint_paths(run, shard):
        path.unlink(missing_ok=True)


def all_checkpoints(run: Path) -> Iterator[tuple[int, Path]]:
    """List the checkpoints of all shards of a run, each with its shard's number."""
    for path in (run / SHARDS).glob("*/*.part"):
        shard = shard_of_checkpoint(path)
        if shard is not None:
            yield shard, path


def shard_of_checkpoint(path: Path) -> int | None:
    """Return the number of the shard that a checkpoint belongs to; None if the name is not a checkpoint's."""
    match = _NAME.fullmatch(path.name)
    return int(match["shard"]) if match else None


def is_damaged(path: Path, run: Path) -> bool:
    """Return whether a checkpoint does not match its checksum.

    Raises:
        StoreError: It cannot be read.
        FileNotFoundError: It has been removed meanwhile.
    """
    return check_checksum(read_run_file(path, run)) is None


def _load(path: Path, run: Path, manifest: Manifest, shard: int) -> Rows | None:
    try:
        stream = check_checksum(read_run_file(path, run))
    except FileNotFoundError:
        return None
    if stream is not None:
        rows, attributes = decode_rows(stream, path)
        if manifest.is_of_shard(attributes, shard):
            return rows
    log.warning("%s is damaged or not of this run: removed, its images are computed again", path)
    path.unlink(missing_ok=True)
    return None
