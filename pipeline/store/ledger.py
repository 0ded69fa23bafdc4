"""Which shards of a run are done, judged from its files alone."""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import StoreError
from pipeline.store.atomic import remove_orphans, replace
from pipeline.store.heartbeat import remove_dead_heartbeats
from pipeline.store.manifest import Manifest
from pipeline.store.object_store import file_version, local_copy
from pipeline.store.run_files import (
    SHARDS,
    part_paths,
    plain_file,
    read_errors,
    read_file,
    shard_of_part,
    shard_path,
    summary_path,
)
from pipeline.store.schema import Rows
from pipeline.store.shard import decode, unseal
from pipeline.store.shard_summary import ShardSummary, is_current, seal_summary, summarize, unseal_summary

log = logging.getLogger(__name__)

_SHARD = re.compile(r"\d{7,}")


class Ledger:
    """The shards of a run: done, left, and what is in them.

    Args:
        run: The run's folder.
        manifest: Its manifest.
    """

    def __init__(self, run: Path, manifest: Manifest) -> None:
        self.run = run
        self.manifest = manifest

    def published(self) -> set[int]:
        """Numbers of the shards that are done."""
        found = (path for path in (self.run / SHARDS).glob("*/*.h5") if _SHARD.fullmatch(path.stem))
        numbers = {int(path.stem) for path in found if path == shard_path(self.run, int(path.stem))}
        return {number for number in numbers if number < self.manifest.n_shards}

    def is_published(self, shard: int) -> bool:
        """Whether one shard is done."""
        path = shard_path(self.run, shard)
        with read_errors(path):
            return path.exists()

    def is_complete(self) -> bool:
        """Whether all shards are done."""
        return len(self.published()) == self.manifest.n_shards

    def pending(self, worker: int = 0, workers: int = 1, *, late: bool = False) -> Iterator[int]:
        """The shards for one worker of several: its own in order, then the others' in random order.

        Each is looked at when it is asked for, so what another worker has published by then is passed over. What its
        own worker is probably at, since that has published the one before, comes last.

        Args:
            worker: Number of the worker.
            workers: How many there are.
            late: Another may be at the same shards, in order: these are in random order, lest the two keep in step.
        """
        known = self.published()  # one listing: to ask for each of them may take a request each

        def is_done(shard: int) -> bool:
            return shard in known or self.is_published(shard)

        own = np.arange(worker, self.manifest.n_shards, workers)
        if late:
            own = np.random.default_rng().permutation(own)
        others = np.setdiff1d(np.arange(self.manifest.n_shards), own)
        np.random.default_rng(worker).shuffle(others)
        yield from (shard for shard in own.tolist() if not is_done(shard))
        at_work = []
        for shard in others.tolist():
            if not (shard < workers or is_done(shard - workers)):
                if not is_done(shard):
                    yield shard
            else:
                at_work.append(shard)
        yield from (shard for shard in at_work if not is_done(shard))

    def parts(self, shard: int) -> list[Rows]:
        """The finished rows of an unfinished shard; a damaged part is removed, a vanished one passed over."""
        return [rows for path in part_paths(self.run, shard) if (rows := self._part(path, shard)) is not None]

    def rows(self, shard: int) -> Rows:
        """All rows and failures of a published shard.

        Raises:
            StoreError: It is damaged, or not this run's, or cannot be read.
        """
        path = shard_path(self.run, shard)
        with read_errors(path), local_copy(plain_file(path, self.run)) as near:
            self.check(shard, near)
            with near.open("rb") as file:
                rows, attributes = decode(file, path)
        self.check_attributes(attributes, shard)
        return rows

    def check_attributes(self, attributes: Mapping[str, Any], shard: int) -> None:
        """Holds the attributes of a published file against the manifest.

        Raises:
            StoreError: It is another job's, another shard's, or not whole.
        """
        if not self._is_own(attributes, shard) or not attributes.get("complete"):
            raise StoreError(f"{shard_path(self.run, shard)} is not shard {shard} of this run, whole")

    def check(self, shard: int, near: Path) -> None:
        """Holds a published file's size and sha256 against its summary, before HDF5 sees it.

        Args:
            shard: Its number.
            near: The file, or the copy that is to be read.

        Raises:
            StoreError: They differ, or one of them cannot be read.
        """
        path, refused = shard_path(self.run, shard), None
        while (summary := self.stored_summary(shard)) is not None and summary != refused:
            with read_errors(path), near.open("rb") as file:
                found = (near.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
            if found == (summary["bytes"], summary["sha256"]):
                return
            refused = summary  # once more, if it is another by now: a retry replaces both
        if summary is not None:
            raise StoreError(
                f"{path} is damaged: size or sha256 are not those of {path.with_suffix('.json').name}; "
                f"task=verify run={self.run} lists all damage, with task.repair=true it is computed anew"
            )
        log.warning("%s has no summary yet: its sha256 cannot be checked", path)

    def stored_summary(self, shard: int) -> ShardSummary | None:
        """The summary as its file has it, or None if there is none yet.

        Raises:
            StoreError: It is damaged, or cannot be read.
        """
        path = summary_path(self.run, shard)
        try:
            return unseal_summary(read_file(path, self.run))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{path} is damaged: {error}; remove it, task=finish writes it anew") from error

    def summary(self, shard: int) -> ShardSummary:
        """The summary of a published shard; computed, if it is not there yet or an older version wrote it.

        Raises:
            StoreError: It, or the shard, is damaged.
        """
        stored = self.stored_summary(shard)
        if stored is not None and is_current(stored):
            return stored
        return self._summarized(shard)

    def renewed_summary(self, shard: int) -> ShardSummary:
        """The summary of a published shard, written first if it is not there yet or an older version wrote it.

        Raises:
            StoreError: It, or the shard, is damaged.
            DiskFull: There is no room for it.
        """
        stored = self.stored_summary(shard)
        return stored if stored is not None and is_current(stored) else self.write_summary(shard)

    def write_summary(self, shard: int) -> ShardSummary:
        """Writes the summary of what is published now, whoever else replaces the shard meanwhile.

        Returns:
            The summary.

        Raises:
            StoreError: The shard is damaged.
            DiskFull: There is no room for it.
        """
        path = shard_path(self.run, shard)
        while True:
            seen = file_version(path)
            summary = self._summarized(shard)
            replace(seal_summary(summary), summary_path(self.run, shard))
            if file_version(path) == seen:
                return summary

    def tidy(self) -> None:
        """Removes what nobody needs any more: parts, and what dead starts left."""
        self.remove_orphans()
        for path in (self.run / SHARDS).glob("*/*.part"):
            shard_number = shard_of_part(path)
            if shard_number is not None and self.is_published(shard_number):
                path.unlink(missing_ok=True)
        if self.is_complete():
            remove_dead_heartbeats(self.run)

    def remove_orphans(self) -> None:
        """Removes the temporary files of dead writers."""
        for folder in (self.run, *(self.run / SHARDS).glob("*")):
            remove_orphans(folder)

    def _summarized(self, shard: int) -> ShardSummary:
        path = shard_path(self.run, shard)
        return summarize(read_file(path, self.run), path, self.manifest)

    def _part(self, path: Path, shard: int) -> Rows | None:
        try:
            stream = unseal(read_file(path, self.run))
        except FileNotFoundError:
            return None
        if stream is not None:
            rows, attributes = decode(stream, path)
            if self._is_own(attributes, shard):
                return rows
        log.warning("%s is damaged or not this run's: removed, its images are computed again", path)
        path.unlink(missing_ok=True)
        return None

    def _is_own(self, attributes: Mapping[str, Any], shard: int) -> bool:
        wanted = (self.manifest.fingerprint, list(self.manifest.range(shard)))
        return (attributes.get("fingerprint"), attributes.get("image_range")) == wanted
