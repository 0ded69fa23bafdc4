"""Predictions and probabilities of each kind of output space, by the definitions and by both libraries."""

import numpy as np
import pytest
import torch

from pipeline.models.output_space import OUTPUTS, OutputSpace

SINGLE, SINGLE_MULTI = OutputSpace(1), OutputSpace(1, multi_label=True)
EXCLUSIVE, INDEPENDENT = OutputSpace(3), OutputSpace(3, multi_label=True)
SPACES = [SINGLE, SINGLE_MULTI, EXCLUSIVE, INDEPENDENT]


def sigmoid(z: float) -> float:
    return 1 / (1 + np.exp(-z))


def drawn(space: OutputSpace, count: int = 20) -> torch.Tensor:
    return 5 * torch.randn(count, space.n_outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("space", [SINGLE, SINGLE_MULTI])
def test_a_single_output_is_a_binary_classifier(space: OutputSpace) -> None:
    logits = torch.tensor([[2.0], [-4.0], [0.0]])
    assert space.n_classes == 2
    assert space.predictions(logits).tolist() == [1, 0, 0]
    expected = [[sigmoid(-2), sigmoid(2)], [sigmoid(4), sigmoid(-4)], [0.5, 0.5]]
    np.testing.assert_allclose(space.probabilities(logits.numpy()), expected)
    confidence = space.confidence(logits.numpy(), np.array([1, 0, 0]))
    np.testing.assert_allclose(confidence, [sigmoid(2), sigmoid(4), 0.5])
    assert space.class_logits(logits).tolist() == [[-2, 2], [4, -4], [0, 0]]
    assert space.outputs_of(torch.tensor([1, 0])).tolist() == [0, 0]
    assert space.classes_of(torch.tensor([0])).tolist() == [1]


def test_independent_outputs_have_a_sigmoid_each() -> None:
    logits = np.array([[1.0, -2.0, 0.5]], np.float32)
    assert INDEPENDENT.n_classes == 3
    np.testing.assert_allclose(INDEPENDENT.probabilities(logits), [[sigmoid(1), sigmoid(-2), sigmoid(0.5)]])
    assert INDEPENDENT.confidence(logits, np.array([0])) == pytest.approx(sigmoid(1))


def test_exclusive_classes_share_a_softmax() -> None:
    logits = np.array([[1.0, -2.0, 0.5]], np.float32)
    powers = np.exp([1, -2, 0.5])
    np.testing.assert_allclose(EXCLUSIVE.probabilities(logits), [powers / powers.sum()])
    assert EXCLUSIVE.confidence(logits, np.array([2])) == pytest.approx(powers[2] / powers.sum())


@pytest.mark.parametrize("space", SPACES)
def test_tensors_and_arrays_agree(space: OutputSpace) -> None:
    logits = drawn(space)
    outputs = space.in_unit(logits, "probability")
    probabilities = torch.from_numpy(space.probabilities(logits.numpy()))
    torch.testing.assert_close(outputs, probabilities.index_select(1, space.classes_of(torch.arange(space.n_outputs))))
    torch.testing.assert_close(space.in_unit(logits, "log_probability").exp(), outputs)
    assert space.in_unit(logits, "logit") is logits and len(OUTPUTS) == 3


@pytest.mark.parametrize("space", SPACES)
def test_the_predicted_class_has_the_highest_probability(space: OutputSpace) -> None:
    logits = drawn(space)
    predictions = space.predictions(logits)
    assert predictions.tolist() == space.probabilities(logits.numpy()).argmax(1).tolist()
    assert predictions.tolist() == space.class_logits(logits).argmax(1).tolist()


@pytest.mark.parametrize("space", SPACES)
def test_large_logits_stay_finite(space: OutputSpace) -> None:
    logits = np.array([[800.0], [-800.0]], np.float32).repeat(space.n_outputs, 1)
    probabilities = space.probabilities(logits)
    assert np.isfinite(probabilities).all() and (probabilities >= 0).all() and (probabilities <= 1).all()
