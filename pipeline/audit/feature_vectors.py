"""Feature vectors: stored inputs of the model's last layer, by which images can be clustered instead of by maps."""

import numpy as np

from pipeline.audit.image_table import ImageTable
from pipeline.audit.pooled_maps import temporary_array
from pipeline.errors import UsageError


def unit_features(images: ImageTable) -> np.ndarray:
    """Features of all images, divided by their L2 norm, so that their distance is one of directions.

    Returns:
        (n, F) float32, in a temporary file.

    Raises:
        UsageError: The run has none.
    """
    source, shards = images.source, list(images.shards())
    width = source.read(shards[0][0], "features", slice(1)).shape[1] if shards else 0
    if not width:
        raise UsageError("task.clusters=features: the run has stored no features; make a run with store.features=true")
    array = temporary_array(len(images), width)
    for shard, positions in shards:
        features = source.read(shard, "features")[images.place[positions]]
        array[positions] = features / np.linalg.norm(features, axis=1, keepdims=True).clip(np.finfo(np.float32).tiny)
    return array
