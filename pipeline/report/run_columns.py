"""Whole columns of a run, for tables and histograms."""

import numpy as np

from pipeline.store.schema import COLUMNS
from pipeline.store.shard_reader import ShardReader


def read_columns(reader: ShardReader, *names: str) -> dict[str, np.ndarray]:
    """Reads whole columns of a run, by name, each (n, ...); each shard is opened once for all of them."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for shard in reader.shards:
        for name in names:
            parts[name].append(reader.read(shard, name))
    return {name: np.concatenate(values) if values else COLUMNS[name].empty() for name, values in parts.items()}
