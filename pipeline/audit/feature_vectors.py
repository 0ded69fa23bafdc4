"""What the model's last layer reads of each image: the other thing, beside maps, by which images are alike."""

import numpy as np

from pipeline.audit.image_table import Images
from pipeline.audit.pooling import scratch
from pipeline.errors import UsageError


def features(images: Images) -> np.ndarray:
    """The features of all images, each divided by its length, so that their distance is that of directions.

    Returns:
        (n, F) float32, in a temporary file.

    Raises:
        UsageError: The run has none.
    """
    source, shards = images.source, list(images.shards())
    width = source.read(shards[0][0], "features", slice(1)).shape[1] if shards else 0
    if not width:
        raise UsageError("task.clusters=features: the run has none; make one with store.features=true")
    array = scratch(len(images), width)
    for shard, positions in shards:
        found = source.read(shard, "features")[images.place[positions]]
        array[positions] = found / np.linalg.norm(found, axis=1, keepdims=True).clip(np.finfo(np.float32).tiny)
    return array
