"""Statistics of a class: empty maps, small classes, classes without images."""

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.class_statistics import ClassMaps, class_findings, cluster_findings
from pipeline.audit.image_table import ImageTable
from pipeline.audit.pooled_maps import GRID
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw

CELLS = GRID * GRID


def test_empty_maps_are_left_out_and_small_classes_not_clustered() -> None:
    pooled = np.full((5, CELLS), 1 / CELLS)
    pooled[2] = 0
    maps = ClassMaps.of(np.array([10, 11, 12, 13, 14]), pooled, None)
    assert maps.positions.tolist() == [10, 11, 13, 14] and maps.shares.shape == (4, CELLS)
    assert maps.partition is None and np.isnan(maps.factor).all()


def test_clusters_have_the_accuracy_and_the_prediction_of_their_images(draw: Draw) -> None:
    predicted = np.repeat([0, 1], [16, 8])
    images = ImageTable.read(ShardReader(draw(np.zeros((24, SIDE, SIDE)), np.zeros(24, int), np.eye(2)[predicted])))
    pooled = np.random.default_rng(0).uniform(0, 0.1, (24, CELLS))
    pooled[:16, :8] += 1
    pooled[16:, -8:] += 1
    maps = ClassMaps.of(np.arange(24), pooled / pooled.sum(1, keepdims=True), None)
    (large, small), means = cluster_findings(images, maps, first=5)
    assert (large.images, large.accuracy, large.predicted, large.mean) == (16, 1, 0, 5)
    assert (small.images, small.accuracy, small.predicted, small.mean) == (8, 0, 1, 6)
    assert small.purity == 1 and small.share == 1 / 3 and sorted(small.rows) == list(range(16, 24))
    np.testing.assert_allclose([mean.sum() for mean in means], 1)


def test_a_class_without_images_has_no_numbers(draw: Draw) -> None:
    images = ImageTable.read(ShardReader(draw(np.zeros((4, SIDE, SIDE)), np.zeros(4, int), np.eye(2)[[0] * 4])))
    found = class_findings(images, ClassProbabilities.read(images), 1, np.empty(0, np.int64))
    assert (found.name, found.images) == ("class 1", 0)
    assert found.accuracy is None and found.confidence is None and found.self_confidence is None
