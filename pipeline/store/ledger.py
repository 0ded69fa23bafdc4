"""The ledger: the state of a run's shards, derived from its files alone.

A shard is done when its file is published. No other record of the work exists, so there is none that a kill could leave
wrong, and workers need neither locks nor a server.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import StoreError
from pipeline.store.atomic import atomic_write, remove_orphans
from pipeline.store.heartbeat import remove_dead_heartbeats
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import as_local_file, file_version
from pipeline.store.run_files import (
    SHARDS,
    convert_read_errors,
    read_run_file,
    require_regular_file,
    shard_path,
    summary_path,
)
from pipeline.store.schema import Rows
from pipeline.store.shard import decode_rows
from pipeline.store.shard_checkpoint import all_checkpoints
from pipeline.store.shard_summary import ShardSummary, decode_summary, encode_summary, is_current, summarize_shard

log = logging.getLogger(__name__)

_SHARD = re.compile(r"\d{7,}")


class Ledger:
    """The shards of a run: which are published, which are pending, and their rows and summaries.

    Args:
        run: The run's folder.
        manifest: Its manifest.
    """

    def __init__(self, run: Path, manifest: Manifest) -> None:
        self.run = run
        self.manifest = manifest

    def published(self) -> set[int]:
        """Numbers of the shards that are published."""
        paths = (path for path in (self.run / SHARDS).glob("*/*.h5") if _SHARD.fullmatch(path.stem))
        numbers = {int(path.stem) for path in paths if path == shard_path(self.run, int(path.stem))}
        return {number for number in numbers if number < self.manifest.n_shards}

    def is_published(self, shard: int) -> bool:
        """Return whether one shard is published."""
        path = shard_path(self.run, shard)
        with convert_read_errors(path):
            return path.exists()

    def is_complete(self) -> bool:
        """Return whether all shards are published."""
        return len(self.published()) == self.manifest.n_shards

    def pending(self, worker: int = 0, workers: int = 1, *, late: bool = False) -> Iterator[int]:
        """Yield the shards for one worker of several: its own in order, then the others' in random order.

        Lazy: each shard is checked just before it is yielded, so those that another worker has published by then are
        skipped. A shard that its own worker is probably computing, since it has published the one before, comes last.

        Args:
            worker: Number of the worker.
            workers: Number of workers.
            late: True if another process may have begun the same shards in order: they come in random order then, so
                that the two do not compute the same ones at the same time.
        """
        known = self.published()  # one listing: a check of each shard may be a request each to an object store

        def is_done(shard: int) -> bool:
            return shard in known or self.is_published(shard)

        own = np.arange(worker, self.manifest.n_shards, workers)
        if late:
            own = np.random.default_rng().permutation(own)
        others = np.setdiff1d(np.arange(self.manifest.n_shards), own)
        np.random.default_rng(worker).shuffle(others)
        yield from (shard for shard in own.tolist() if not is_done(shard))
        probably_in_work = []
        for shard in others.tolist():
            if not (shard < workers or is_done(shard - workers)):  # its worker has not finished the shard before
                if not is_done(shard):
                    yield shard
            else:
                probably_in_work.append(shard)
        yield from (shard for shard in probably_in_work if not is_done(shard))

    def rows(self, shard: int) -> Rows:
        """Read all rows and failures of a published shard.

        Raises:
            StoreError: It is damaged, or not this run's, or cannot be read.
        """
        path = shard_path(self.run, shard)
        with convert_read_errors(path), as_local_file(require_regular_file(path, self.run)) as local:
            self.verify_checksum(shard, local)
            with local.open("rb") as file:
                rows, attributes = decode_rows(file, path)
        self.check_attributes(attributes, shard)
        return rows

    def check_attributes(self, attributes: Mapping[str, Any], shard: int) -> None:
        """Check the attributes of a published file against the manifest.

        Raises:
            StoreError: It is another job's, another shard's, or not complete.
        """
        if not self.manifest.is_of_shard(attributes, shard) or not attributes.get("complete"):
            raise StoreError(
                f"{shard_path(self.run, shard)} is not the complete shard {shard} of this run; "
                f"task=verify run={self.run} task.repair=true computes it again"
            )

    def verify_checksum(self, shard: int, local: Path) -> None:
        """Compare a published file's size and sha256 with its summary, before HDF5 opens it.

        Args:
            shard: Its number.
            local: The file, or its local copy.

        Raises:
            StoreError: They differ, or one of them cannot be read.
        """
        path, mismatched = shard_path(self.run, shard), None
        # Race: a retry replaces the shard and then its summary. On a mismatch the summary is read again, until it is
        # the same as the one that did not match.
        while (summary := self.stored_summary(shard)) is not None and summary != mismatched:
            with convert_read_errors(path), local.open("rb") as file:
                actual = (local.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
            if actual == (summary["bytes"], summary["sha256"]):
                return
            mismatched = summary
        if summary is not None:
            raise StoreError(
                f"{path} is damaged: its size or sha256 is not that in {path.with_suffix('.json').name}; "
                f"task=verify run={self.run} lists all damage, task.repair=true computes those shards again"
            )
        log.warning("%s has no summary yet: its sha256 cannot be checked", path)

    def stored_summary(self, shard: int) -> ShardSummary | None:
        """Read the summary file of a shard; None if there is none yet.

        Raises:
            StoreError: It is damaged, or cannot be read.
        """
        path = summary_path(self.run, shard)
        try:
            return decode_summary(read_run_file(path, self.run))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{path} is damaged: {error}; remove it, task=finish writes it again") from error

    def summary(self, shard: int) -> ShardSummary:
        """Return the summary of a published shard; computed if it is missing, or an older version wrote it.

        Raises:
            StoreError: It, or the shard, is damaged.
        """
        stored = self.stored_summary(shard)
        if stored is not None and is_current(stored, self.manifest):
            return stored
        return self._summarized(shard)

    def ensure_summary(self, shard: int) -> ShardSummary:
        """Return the summary of a published shard; computed and written if it is missing, or an older version wrote it.

        Raises:
            StoreError: It, or the shard, is damaged.
            DiskFull: The disk has no room for it.
        """
        stored = self.stored_summary(shard)
        return stored if stored is not None and is_current(stored, self.manifest) else self.write_summary(shard)

    def write_summary(self, shard: int) -> ShardSummary:
        """Write the summary of the file that is published now; idempotent.

        Returns:
            The summary.

        Raises:
            StoreError: The shard is damaged.
            DiskFull: The disk has no room for it.
        """
        path = shard_path(self.run, shard)
        while True:  # race: another worker's retry may replace the shard between the read and the write
            version = file_version(path)
            summary = self._summarized(shard)
            atomic_write(encode_summary(summary), summary_path(self.run, shard))
            if file_version(path) == version:
                return summary

    def remove_leftovers(self) -> None:
        """Remove checkpoints of published shards, temporary files of dead writers and, at the end, dead heartbeats."""
        self.remove_orphans()
        for shard, path in all_checkpoints(self.run):
            if self.is_published(shard):
                path.unlink(missing_ok=True)
        if self.is_complete():
            remove_dead_heartbeats(self.run)

    def remove_orphans(self) -> None:
        """Remove the temporary files of dead writers."""
        for folder in (self.run, *(self.run / SHARDS).glob("*")):
            remove_orphans(folder)

    def _summarized(self, shard: int) -> ShardSummary:
        path = shard_path(self.run, shard)
        return summarize_shard(read_run_file(path, self.run), path, self.manifest)
