"""Write shards: a background thread sorts rows by shard, saves checkpoints, and publishes each shard that is complete.

A shard goes through three states. Its rows are in memory, in a :class:`pipeline.store.shard_buffer.ShardBuffer`; those
that are finished are saved to checkpoints (:mod:`pipeline.store.shard_checkpoint`); when no image remains, all rows are
published atomically as ``shards/NNN/SSSSSSS.h5``, with a summary beside it, and the checkpoints are removed.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline.store.atomic import atomic_write, publish
from pipeline.store.background_thread import BackgroundThread
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.run_files import shard_path, summary_path
from pipeline.store.schema import Rows
from pipeline.store.shard import FILTERS, encode_rows
from pipeline.store.shard_buffer import ShardBuffer
from pipeline.store.shard_checkpoint import load_checkpoints, remove_checkpoints, save_checkpoint

log = logging.getLogger(__name__)

_NO_IMAGES = np.empty(0, np.int64)


class Writer:
    """Writes a run's shards; a context manager, which saves finished rows at its end, also after an error.

    Args:
        run: The run's folder.
        manifest: Its manifest.
        attributes: Of each shard: method, options, geometry, model, weights, versions, ...
        filter: ``none`` or ``gzip`` (with shuffle), for the maps.
        checkpoint_seconds: Seconds between checkpoints of unfinished shards.

    Attributes:
        computed_twice: Images of this process in shards that another published first; final once closed.
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
        self.computed_twice = 0
        self._ledger = Ledger(run, manifest)
        self._ledger.remove_orphans()
        from_manifest = {name: getattr(manifest, name) for name in ("fingerprint", "class_names", "preprocessing")}
        self._attributes = {**attributes, **from_manifest}
        self._filter = filter
        self._buffers: dict[int, ShardBuffer] = {}
        self._background = BackgroundThread(self._save_checkpoints, checkpoint_seconds)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def restore(self, shard: int) -> np.ndarray:
        """Resume an unfinished shard from its checkpoints.

        Returns:
            Numbers of the images that remain to be computed, int64; none if the shard is published.
        """
        if self._ledger.is_published(shard):
            return _NO_IMAGES
        return self._begin(shard, self._checkpoints(shard), replaces=False)

    def retry(self, shard: int) -> np.ndarray:
        """Retry the failed images of a published shard; once all are computed again, the shard is replaced.

        Returns:
            Numbers of the images that failed and remain to be computed, int64.

        Raises:
            StoreError: The published shard is damaged.
        """
        published = self._ledger.rows(shard)
        if not published.failures:
            return _NO_IMAGES
        explained = [Rows(rows.columns) for rows in (published, *self._checkpoints(shard))]  # without their failures
        return self._begin(shard, explained, replaces=True)

    def repair(self, shard: int) -> np.ndarray:
        """Compute a damaged shard again, from its checkpoints if it has any; once complete, it is replaced.

        Returns:
            Numbers of the images that remain to be computed, int64.
        """
        return self._begin(shard, self._checkpoints(shard), replaces=True)

    def add(self, rows: Rows) -> None:
        """Add explanations and failures of any shards; all rows of an image must come together.

        The writer keeps the arrays without a copy: do not change them afterwards.

        Raises:
            ValueError: The rows do not match `COLUMNS`, or are of images that the run does not have.
            StoreError: Earlier rows could not be written (:class:`DiskFull`, ...).
        """
        rows.validate()
        images = rows.images
        if images.size and not 0 <= images[0] <= images[-1] < len(self._ledger.manifest):
            n = len(self._ledger.manifest)
            raise ValueError(f"images {images[0]} to {images[-1]} are not all among the run's {n}")
        self._background.put(partial(self._buffer_rows, rows))

    def close(self) -> None:
        """Save all finished rows, and wait until they are on the disk; idempotent.

        Raises:
            StoreError: Something could not be written (:class:`DiskFull`, ...).
        """
        self._background.close()

    def _checkpoints(self, shard: int) -> list[Rows]:
        return load_checkpoints(self._ledger.run, self._ledger.manifest, shard)

    def _begin(self, shard: int, saved: Iterable[Rows], *, replaces: bool) -> np.ndarray:
        buffer = ShardBuffer(*self._ledger.manifest.range(shard), replaces=replaces)
        for rows in saved:
            buffer.add(rows, saved=True)
        remaining = buffer.remaining
        self._background.put(partial(self._adopt, shard, buffer))
        return remaining

    # The methods below run in the background thread. Only it uses self._buffers, so they need no lock.

    def _adopt(self, shard: int, buffer: ShardBuffer) -> None:
        self._buffers[shard] = buffer
        self._publish_if_complete(shard)

    def _buffer_rows(self, rows: Rows) -> None:
        first_images = self._ledger.manifest.shards
        for shard in np.unique(np.searchsorted(first_images, rows.images, side="right") - 1).tolist():
            if shard not in self._buffers:
                if self._ledger.is_published(shard):  # by another worker; its rows are equal, these are dropped
                    first, end = self._ledger.manifest.range(shard)
                    self.computed_twice += int(np.sum((rows.images >= first) & (rows.images < end)))
                    continue
                self._buffers[shard] = ShardBuffer(*self._ledger.manifest.range(shard))
            self._buffers[shard].add(rows)
            self._publish_if_complete(shard)

    def _publish_if_complete(self, shard: int) -> None:
        if self._buffers[shard].remaining.size:
            return
        run, buffer = self._ledger.run, self._buffers.pop(shard)
        data = self._encode(shard, buffer.rows, complete=True)
        if buffer.replaces:
            # No summary is better than that of the replaced file, whose sha256 would make the new one look damaged.
            summary_path(run, shard).unlink(missing_ok=True)
            atomic_write(data, shard_path(run, shard))
        elif not publish(data, shard_path(run, shard)):
            self.computed_twice += buffer.computed
        del data, buffer  # as large as the shard, which the summary reads into memory once more
        self._ledger.write_summary(shard)
        remove_checkpoints(run, shard)
        log.debug("shard %d is published", shard)

    def _save_checkpoints(self) -> None:
        """Save the rows since the last checkpoint; drop the buffers of shards that another worker has published."""
        for shard, buffer in list(self._buffers.items()):
            if not buffer.replaces and self._ledger.is_published(shard):
                self.computed_twice += self._buffers.pop(shard).computed
                continue
            rows = buffer.take_unsaved()
            if (images := rows.images).size:
                data = self._encode(shard, rows, complete=False)
                save_checkpoint(self._ledger.run, shard, images, data)

    def _encode(self, shard: int, rows: Rows, *, complete: bool) -> memoryview:
        extent = {"image_range": list(self._ledger.manifest.range(shard)), "complete": complete}
        return encode_rows(rows, {**self._attributes, **extent}, filter=self._filter)
