"""Clusters of stored features instead of maps."""

import numpy as np
import pytest

from pipeline.audit.analyse import analyse
from pipeline.errors import UsageError
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import Draw, natural

CLASSES, IMAGES = 4, 30
LABELS = np.repeat(np.arange(CLASSES), IMAGES)


def logits_of(predicted: np.ndarray) -> np.ndarray:
    return 4 * np.eye(CLASSES)[predicted]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def test_clusters_of_features(draw: Draw, generator: np.random.Generator) -> None:
    one_class = np.ones_like(LABELS)
    features = generator.normal(0, 0.2, (len(LABELS), 6)).astype(np.float32)
    features[:, 0] += 1
    features[30:70] = np.roll(features[30:70], 1, axis=1)  # another direction; the maps are all alike
    folder = draw(natural(generator, len(LABELS)), one_class, logits_of(one_class), features=features)
    audit = analyse(ShardReader(folder), by_features=True)
    assert audit.run.clusters == "features" and analyse(ShardReader(folder)).run.clusters == "maps"
    (found,) = audit.classes
    assert [cluster.images for cluster in found.clusters] == [80, 40]
    assert sorted(audit.arrays.row[audit.arrays.members(1, 1)]) == list(range(30, 70))


def test_there_may_be_no_features(draw: Draw, generator: np.random.Generator) -> None:
    folder = draw(natural(generator, len(LABELS)), LABELS, logits_of(LABELS))
    with pytest.raises(UsageError, match="make a run with store\\.features"):
        analyse(ShardReader(folder), by_features=True)
