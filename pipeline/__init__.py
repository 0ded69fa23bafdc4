"""Attribution maps for whole image datasets: computed, stored, opened again."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.store.reader import Run


def open_run(path: str | Path, verify: bool = True) -> "Run":
    """Opens a run's folder as one lazy, indexable array of explanations.

    Args:
        path: The folder, ``outputs/...``, or its address, ``s3://...``.
        verify: Whether each shard's size and sha256 are checked when it is first read.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Its manifest is damaged or of a newer version.
    """
    from pipeline.store.reader import Run  # here: torch and h5py are not needed to import the package
    from pipeline.store.shard_reader import ShardReader
    from pipeline.system.remote import locate

    return Run(ShardReader(locate(path) if isinstance(path, str) else path, verify))
