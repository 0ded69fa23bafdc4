"""Whole columns of a run, for tables and histograms."""

import numpy as np

from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader


def read_columns(source: ShardReader, *names: str) -> dict[str, np.ndarray]:
    """Reads whole columns of a run, by name, each (n, ...); each shard is opened once for all of them."""
    parts = {name: [COLUMNS[name].empty()] for name in names}  # so that a run without shards has columns of no rows
    for shard in source.shards:
        for name in names:
            parts[name].append(source.read(shard, name))
    return {name: np.concatenate(parts[name]) for name in names}
