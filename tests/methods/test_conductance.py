"""Layer conductance and internal influence: replicas by loops, completeness, and errors in the user's n_steps."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import Conductance, InternalInfluence
from pipeline.methods.method import image_seeds
from pipeline.methods.quadrature import quadrature_rule
from pipeline.view import LayerView
from tests.networks import Perceptron, images

SHAPE = (3, 8, 16)


class Layered(nn.Module):
    """F_c(x) = sum_k V_ck tanh(h_k) with the hidden layer h = W x + d, whose gradient is written down at once."""

    def __init__(self) -> None:
        super().__init__()
        self.perceptron = Perceptron(SHAPE)

    def forward(self, points: Tensor) -> Tensor:
        return self.perceptron(points)

    def hidden(self, point: Tensor) -> Tensor:
        return self.perceptron.first(point.flatten()).detach()

    def gradient(self, point: Tensor, target: int) -> Tensor:
        return (self.perceptron.last.weight[target] * (1 - self.hidden(point).tanh() ** 2)).detach()


def conductance(network: Layered, image: Tensor, baseline: Tensor, target: int, alphas: list[float]) -> Tensor:
    """Sum of g_k (y_{k+1} - y_k) over the nodes."""
    points = [baseline + alpha * (image - baseline) for alpha in alphas]
    return sum(
        network.gradient(point, target) * (network.hidden(following) - network.hidden(point))
        for point, following in pairwise(points)
    )


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("quadrature", ["gausslegendre", "riemann_trapezoid"])
def test_replica_of_conductance(quadrature: str, chunk: int) -> None:
    network, batch, baselines, targets = Layered(), images(2, *SHAPE[1:]), images(3, *SHAPE[1:])[1:], [2, 0]
    view = LayerView(network, layer="perceptron.first")
    method = Conductance(view, n_steps=5, quadrature=quadrature, baselines=baselines, internal_batch_size=chunk)
    alphas = quadrature_rule(quadrature, 6)[0].tolist()
    for image, baseline, target, map_ in zip(batch, baselines, targets, method(batch, targets), strict=True):
        expected = conductance(network, image, baseline, target, alphas)
        torch.testing.assert_close(map_, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_replica_of_internal_influence(chunk: int) -> None:
    network, batch, baselines, targets = Layered(), images(2, *SHAPE[1:]), images(3, *SHAPE[1:])[1:], [2, 0]
    view = LayerView(network, layer="perceptron.first")
    maps = InternalInfluence(view, n_steps=5, baselines=baselines, internal_batch_size=chunk)(batch, targets)
    nodes, weights = quadrature_rule("gausslegendre", 5)
    for image, baseline, target, map_ in zip(batch, baselines, targets, maps, strict=True):
        expected = sum(
            weight * network.gradient(baseline + node * (image - baseline), target)
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
        )
        torch.testing.assert_close(map_, expected, rtol=1e-12, atol=1e-14)


def test_conductance_becomes_complete() -> None:
    network, batch, targets = Layered(), images(2, *SHAPE[1:]), torch.tensor([[2, 1], [0, 1]])
    deltas = []
    for n_steps in (10, 1000):
        method = Conductance(
            LayerView(network, layer="perceptron.first"), n_steps=n_steps, quadrature="riemann_trapezoid"
        )
        scores = method.scores(batch, targets)
        attribution = method.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(2)))
        drops = scores - attribution.baseline_score
        torch.testing.assert_close(attribution.maps.sum(2) - drops, attribution.convergence_delta)
        assert attribution.evaluations == n_steps + 1 + 2
        deltas.append((attribution.convergence_delta / drops).abs().max())
    assert deltas[1] < 0.01 and deltas[1] < deltas[0] / 50


@pytest.mark.parametrize("method", [Conductance, InternalInfluence])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number from 1, not 0"),
        ({"n_steps": 1, "quadrature": "riemann_trapezoid"}, "riemann_trapezoid needs at least 2, not 1"),
        ({"quadrature": "simpson"}, "quadrature must be one of"),
        ({"baselines": "grey"}, "baselines"),
    ],
)
def test_wrong_options(method: Callable[..., object], options: dict[str, object], words: str) -> None:
    """Conductance has one node more than steps; its errors name the steps."""
    with pytest.raises(ValueError, match=words):
        method(LayerView(Layered(), layer="perceptron.first"), **options)
