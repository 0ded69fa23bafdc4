"""How far a run is, judged from its folder alone."""

from pathlib import Path

import numpy as np

from pipeline.store.layout import part_paths
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest


def status_line(folder: Path) -> str:
    """Shards and images done, in work and missing; works while the run goes on and after it died.

    Raises:
        UsageError: The folder is no run's.
        StoreError: Its manifest, or a summary, is damaged.
    """
    manifest = Manifest.open(folder)
    ledger = Ledger(folder, manifest)
    published = sorted(ledger.published())
    begun = [shard for shard in ledger.pending() if part_paths(folder, shard)]
    images = int(sum(np.diff(manifest.range(shard))[0] for shard in published))
    failed = sum(ledger.summary(shard)["failures"] for shard in published)
    return (
        f"{len(published)} of {manifest.n_shards} shards published, {len(begun)} begun; "
        f"{images} of {len(manifest)} images done, {failed} of them failed"
    )
