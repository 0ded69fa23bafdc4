"""Probabilities of labels and predictions, by hand."""

import numpy as np
import pytest

from pipeline.audit.class_probabilities import ClassProbabilities
from pipeline.audit.image_table import ImageTable
from pipeline.store.shard_reader import ShardReader
from tests.audit.conftest import SIDE, Draw


def read(folder: object) -> ClassProbabilities:
    return ClassProbabilities.read(ImageTable.read(ShardReader(folder)))


def test_label_prediction_and_best_other_class(draw: Draw) -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])
    found = read(draw(np.zeros((3, SIDE, SIDE)), np.array([0, 1, -1]), logits))
    np.testing.assert_allclose(found.predicted, [0.7, 0.5, 0.6], rtol=1e-6)
    np.testing.assert_allclose(found.label, [0.7, 0.3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.other, [0.2, 0.5, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.margin, [0.75, 0.4, np.nan], rtol=1e-6)


def test_one_output_has_two_classes(draw: Draw) -> None:
    logits, predicted = np.array([[-4.0], [1.0]]), np.array([0, 1], np.int32)
    found = read(draw(np.zeros((2, SIDE, SIDE)), np.array([0, 0]), logits, predicted=predicted))
    assert found.predicted.tolist() == pytest.approx([1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-1))])
    assert found.label.tolist() == pytest.approx([1 / (1 + np.exp(-4)), 1 / (1 + np.exp(1))])
    np.testing.assert_allclose(found.label + found.other, 1)
