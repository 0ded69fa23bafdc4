"""Attribution maps for whole image datasets: computed in batches, stored in shards, opened as one lazy array."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.store.reader import Run


def open_run(path: str | Path, verify: bool = True) -> "Run":
    """Open a run's folder as one lazy, indexable array of explanations.

    Args:
        path: The folder, ``outputs/...``, or its address, ``s3://...``.
        verify: Whether each shard's size and sha256 are verified when it is first read.

    Raises:
        UsageError: The folder is not a run's.
        StoreError: Its manifest is damaged or of a newer version.
    """
    from pipeline.store.reader import Run  # here: torch and h5py are not needed to import the package
    from pipeline.store.shard_reader import ShardReader
    from pipeline.system.remote import to_path

    return Run(ShardReader(to_path(path) if isinstance(path, str) else path, verify))
