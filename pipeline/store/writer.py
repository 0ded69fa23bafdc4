"""Rows -> shards: a thread sorts them, saves unfinished ones from time to time, publishes what is whole."""

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline.store.atomic import publish, replace
from pipeline.store.background_thread import BackgroundThread
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.run_files import part_path, part_paths, shard_path, summary_path
from pipeline.store.schema import Rows
from pipeline.store.shard import FILTERS, encode, seal
from pipeline.store.shard_buffer import ShardBuffer

log = logging.getLogger(__name__)

_NO_IMAGES = np.empty(0, np.int64)


class Writer:
    """Writes a run's shards; a context manager, which saves at its end, whatever the reason.

    Args:
        run: The run's folder.
        manifest: Its manifest.
        attributes: Of each shard: method, options, geometry, model, weights, versions, ...
        filter: ``none`` or ``gzip`` (with shuffle), for the maps.
        checkpoint_seconds: After this time finished rows of an unfinished shard are saved.

    Attributes:
        doubled: Images that this process computed, of shards that another published; right once closed.
    """

    def __init__(
        self,
        run: Path,
        manifest: Manifest,
        *,
        attributes: Mapping[str, Any],
        filter: str = "none",
        checkpoint_seconds: float = 30,
    ) -> None:
        if checkpoint_seconds <= 0:
            raise ValueError(f"checkpoint_seconds must be above 0, not {checkpoint_seconds}")
        if filter not in FILTERS:
            raise ValueError(f"filter must be one of {', '.join(FILTERS)}, not {filter!r}")
        self.doubled = 0
        self._ledger = Ledger(run, manifest)
        self._ledger.remove_orphans()
        known = {name: getattr(manifest, name) for name in ("fingerprint", "class_names", "preprocessing")}
        self._attributes = {**attributes, **known}
        self._filter = filter
        self._open: dict[int, ShardBuffer] = {}
        self._background = BackgroundThread(self._checkpoint, checkpoint_seconds)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def restore(self, shard: int) -> np.ndarray:
        """Starts a shard with what its parts hold.

        Returns:
            Numbers of the images that are left to do, int64; none if the shard is published.
        """
        if self._ledger.is_published(shard):
            return _NO_IMAGES
        return self._start(shard, self._ledger.parts(shard), replaces=False)

    def retry(self, shard: int) -> np.ndarray:
        """Starts a published shard anew with its rows; with its failed images it is then replaced whole.

        Returns:
            Numbers of the images that failed and are left to do, int64.

        Raises:
            StoreError: The published shard is damaged.
        """
        published = self._ledger.rows(shard)
        if not published.failures:
            return _NO_IMAGES
        kept = [Rows(rows.columns) for rows in (published, *self._ledger.parts(shard))]
        return self._start(shard, kept, replaces=True)

    def repair(self, shard: int) -> np.ndarray:
        """Starts a damaged shard anew with what its parts hold; once all images came, it is replaced whole.

        Returns:
            Numbers of the images that are left to do, int64.
        """
        return self._start(shard, self._ledger.parts(shard), replaces=True)

    def add(self, rows: Rows) -> None:
        """Takes explanations and failures of any shards; all rows of an image must come together.

        The arrays are the writer's from then on.

        Raises:
            ValueError: The rows are not as `COLUMNS` has them, or not of images of this run.
            StoreError: An earlier one could not be written (:class:`DiskFull`, ...).
        """
        rows.check()
        images = rows.images
        if images.size and not 0 <= images[0] <= images[-1] < len(self._ledger.manifest):
            n = len(self._ledger.manifest)
            raise ValueError(f"images {images[0]} to {images[-1]} are not all among the run's {n}")
        self._background.put(partial(self._gather, rows))

    def close(self) -> None:
        """Saves what is finished, and waits until it is on the disk.

        Raises:
            StoreError: Something could not be written (:class:`DiskFull`, ...).
        """
        self._background.close()

    def _start(self, shard: int, kept: Iterable[Rows], *, replaces: bool) -> np.ndarray:
        gathered = ShardBuffer(*self._ledger.manifest.range(shard), replaces=replaces)
        for rows in kept:
            gathered.add(rows, saved=True)
        left = gathered.left
        self._background.put(partial(self._adopt, shard, gathered))
        return left

    # What follows runs in the thread, which alone touches self._open.

    def _adopt(self, shard: int, gathered: ShardBuffer) -> None:
        self._open[shard] = gathered
        self._publish_if_whole(shard)

    def _gather(self, rows: Rows) -> None:
        shards = self._ledger.manifest.shards
        for shard in np.unique(np.searchsorted(shards, rows.images, side="right") - 1).tolist():
            if shard not in self._open:
                if self._ledger.is_published(shard):  # by another worker; its rows are as good
                    first, end = self._ledger.manifest.range(shard)
                    self.doubled += int(np.sum((rows.images >= first) & (rows.images < end)))
                    continue
                self._open[shard] = ShardBuffer(*self._ledger.manifest.range(shard))
            self._open[shard].add(rows)
            self._publish_if_whole(shard)

    def _publish_if_whole(self, shard: int) -> None:
        if self._open[shard].left.size:
            return
        run, gathered = self._ledger.run, self._open.pop(shard)
        data = self._encode(shard, gathered.rows, complete=True)
        if gathered.replaces:
            summary_path(run, shard).unlink(missing_ok=True)  # better none than another file's
            replace(data, shard_path(run, shard))
        elif not publish(data, shard_path(run, shard)):
            self.doubled += gathered.computed
        del data, gathered  # as large as the shard, and so is what the summary reads
        self._ledger.write_summary(shard)
        for part in part_paths(run, shard):
            part.unlink(missing_ok=True)
        log.debug("shard %d is published", shard)

    def _checkpoint(self) -> None:
        """Saves what came since the last time, and forgets shards that another worker has published."""
        for shard, gathered in list(self._open.items()):
            if not gathered.replaces and self._ledger.is_published(shard):
                self.doubled += self._open.pop(shard).computed
                continue
            rows = gathered.take_fresh()
            if (images := rows.images).size:
                path = part_path(self._ledger.run, shard, int(images[0]), int(images[-1]))
                publish(seal(self._encode(shard, rows, complete=False)), path)

    def _encode(self, shard: int, rows: Rows, *, complete: bool) -> memoryview:
        extent = {"image_range": list(self._ledger.manifest.range(shard)), "complete": complete}
        return encode(rows, {**self._attributes, **extent}, filter=self._filter)
