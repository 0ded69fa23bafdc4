"""Confusions: counts, shares and order, by hand."""

import numpy as np

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.confusions import EXAMPLES, confusions
from pipeline.audit.image_table import ImageTable
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw


def test_the_most_frequent_first_then_the_larger_share(draw: Draw) -> None:
    labels = np.repeat([0, 1, 2], [10, 5, 10])
    predicted = labels.copy()
    predicted[[0, 1, 2]] = 1  # 3 of 10
    predicted[[10, 11]] = 2  # 2 of 5
    predicted[[15, 16]] = 0  # 2 of 10
    logits = np.eye(3)[predicted] * np.linspace(1, 4, len(labels))[:, None]
    images = ImageTable.read(ShardReader(draw(np.zeros((25, SIDE, SIDE)), labels, logits)))
    probabilities = ClassProbabilities.read(images)
    found = confusions(images, probabilities, 10)
    assert [(one.label, one.predicted, one.images, one.share) for one in found] == [
        (0, 1, 3, 0.3),
        (1, 2, 2, 0.4),
        (2, 0, 2, 0.2),
    ]
    assert found[0].rows == [2, 1, 0]  # by confidence
    assert len(confusions(images, probabilities, 1)) == 1 and EXAMPLES > 3


def test_without_mistakes_there_are_none(draw: Draw) -> None:
    labels = np.arange(6) % 3
    images = ImageTable.read(ShardReader(draw(np.zeros((6, SIDE, SIDE)), labels, np.eye(3)[labels])))
    assert confusions(images, ClassProbabilities.read(images), 10) == []
