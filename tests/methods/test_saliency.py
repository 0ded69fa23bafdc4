"""Saliency and input x gradient: replicas that write the chain rule out."""

import math

import numpy as np
import pytest
import torch

from pipeline.methods import InputXGradient, Saliency
from pipeline.methods.method import image_seeds
from tests.networks import Perceptron, Recording, images

SHAPE = (3, 8, 16)


def gradient(network: Perceptron, image: np.ndarray, target: int) -> np.ndarray:
    """dF_c/dx_i = sum_k V_ck (1 - tanh(W_k . x + d_k)^2) W_ki."""
    first, bias, last = network.weights
    x, result = image.reshape(-1), np.zeros(image.size)
    for k in range(len(first)):
        activation = math.tanh(sum(first[k, i] * x[i] for i in range(len(x))) + bias[k])
        for i in range(len(x)):
            result[i] += last[target, k] * (1 - activation**2) * first[k, i]
    return result.reshape(image.shape)


@pytest.mark.parametrize("method", ["saliency", "signed saliency", "input x gradient"])
def test_replica(method: str) -> None:
    network, batch, targets = Perceptron(SHAPE), images(3, *SHAPE[1:]), [2, 0, 1]
    built = {
        "saliency": Saliency(network),
        "signed saliency": Saliency(network, abs=False),
        "input x gradient": InputXGradient(network),
    }[method]
    for image, target, map_ in zip(batch.numpy(), targets, built(batch, targets).numpy(), strict=True):
        expected = gradient(network, image, target)
        expected = {"saliency": abs(expected), "input x gradient": image * expected}.get(method, expected)
        np.testing.assert_allclose(map_, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_the_gradient_is_the_slope() -> None:
    """Central differences, which need no chain rule."""
    network, batch = Perceptron(SHAPE), images(1, *SHAPE[1:])
    maps = Saliency(network, abs=False)(batch, 1)
    for place in [(0, 0, 0), (1, 3, 5), (2, 7, 15)]:
        step = torch.zeros_like(batch)
        step[0][place] = 1e-5
        with torch.no_grad():
            slope = (network(batch + step) - network(batch - step))[0, 1] / 2e-5
        torch.testing.assert_close(maps[0][place], slope, rtol=1e-7, atol=1e-10)


def test_undefined_fields_and_targets_that_share_a_forward_pass() -> None:
    network, batch = Recording(Perceptron(SHAPE)), images(3, *SHAPE[1:])
    targets = torch.tensor([[0, 2], [1, 0], [2, 2]])
    method = InputXGradient(network, internal_batch_size=2)
    scores = method.logits(batch).gather(1, targets)
    attribution = method.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(3)))
    assert network.passes == [2, 1, 2, 1]
    assert attribution.maps.shape == (3, 2, *SHAPE)
    assert attribution.evaluations == 1
    assert attribution.baseline_score.isnan().all() and attribution.convergence_delta.isnan().all()
    for column in range(2):
        torch.testing.assert_close(
            attribution.maps[:, column], method(batch, targets[:, column]), rtol=1e-12, atol=1e-15
        )


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="internal_batch_size"):
        Saliency(Perceptron(SHAPE), internal_batch_size=-1)
