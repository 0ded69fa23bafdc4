"""Integrated Gradients: a replica by loops, its axioms, and the chunks of (image, point) pairs."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import InputXGradient, IntegratedGradients
from pipeline.methods.method import Attribution, image_seeds
from pipeline.methods.quadrature import QUADRATURE_RULES
from tests.networks import Perceptron, Recording, images, small_vgg

SHAPE = (3, 8, 16)


def explain(method: IntegratedGradients, batch: Tensor, targets: Tensor) -> Attribution:
    """Explain T targets (N, T), as the pipeline does."""
    scores = method.view.outputs(method.logits(batch)).gather(1, targets)
    return method.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(len(batch))))


def legendre(n: int, x: float) -> tuple[float, float]:
    """P_n(x) and its derivative, by Bonnet's recursion."""
    before, now = 1.0, x
    for k in range(1, n):
        before, now = now, ((2 * k + 1) * x * now - k * before) / (k + 1)
    return now, n * (x * now - before) / (x * x - 1)


def nodes_and_weights(rule: str, n: int) -> list[tuple[float, float]]:
    """Nodes and weights over [0, 1]; Gauss-Legendre by Newton's method (Abramowitz and Stegun, 25.4.29)."""
    if rule != "gausslegendre":
        shift = {"riemann_left": 0.0, "riemann_middle": 0.5, "riemann_right": 1.0}
        if rule in shift:
            return [((k + shift[rule]) / n, 1 / n) for k in range(n)]
        return [(k / (n - 1), (0.5 if k in (0, n - 1) else 1.0) / (n - 1)) for k in range(n)]
    gauss = []
    for k in range(n):
        x = math.cos(math.pi * (k + 0.75) / (n + 0.5))
        for _ in range(10):
            value, slope = legendre(n, x)
            x -= value / slope
        slope = legendre(n, x)[1]
        gauss.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return gauss


def replica(network: Perceptron, image: np.ndarray, baseline: np.ndarray, target: int, rule: str, n: int) -> np.ndarray:
    """Equation 3 of the paper, point by point and unit by unit, with the chain rule written out."""
    first, bias, last = network.weights
    x, b = image.reshape(-1), baseline.reshape(-1)
    map_ = np.zeros_like(x)
    for alpha, weight in nodes_and_weights(rule, n):
        point = b + alpha * (x - b)
        for k in range(len(first)):
            activation = math.tanh(sum(first[k, i] * point[i] for i in range(len(point))) + bias[k])
            for i in range(len(point)):
                map_[i] += weight * last[target, k] * (1 - activation**2) * first[k, i] * (x[i] - b[i])
    return map_.reshape(image.shape)


@pytest.mark.parametrize("n_steps", [2, 7])
@pytest.mark.parametrize("quadrature", QUADRATURE_RULES)
def test_replica(quadrature: str, n_steps: int) -> None:
    network, batch, baselines = Perceptron(SHAPE), images(2, *SHAPE[1:]), images(3, *SHAPE[1:])[1:]
    maps = IntegratedGradients(network, n_steps=n_steps, quadrature=quadrature, baselines=baselines)(batch, [2, 0])
    for image, baseline, target, map_ in zip(batch, baselines, [2, 0], maps, strict=True):
        expected = replica(network, image.numpy(), baseline.numpy(), target, quadrature, n_steps)
        np.testing.assert_allclose(map_.numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_one_right_hand_node_is_input_x_gradient() -> None:
    network, batch = small_vgg().double(), images(3, 40, 56)
    one = IntegratedGradients(network, n_steps=1, quadrature="riemann_right")(batch, [1, 2, 3])
    torch.testing.assert_close(one, InputXGradient(network)(batch, [1, 2, 3]), rtol=1e-12, atol=1e-15)


def test_completeness() -> None:
    """The convergence delta is sum(map) - (F(x) - F(b)), and vanishes with more steps."""
    network, batch, targets = small_vgg().double(), images(3, 40, 56), torch.tensor([[1], [5], [9]])
    baseline, deltas = torch.full_like(batch[:1], 0.3), []
    for n_steps in (4, 400):
        attribution = explain(IntegratedGradients(network, n_steps=n_steps, baselines=0.3), batch, targets)
        with torch.no_grad():
            baseline_scores = network(baseline).expand(3, -1).gather(1, targets)
            drops = network(batch).gather(1, targets) - baseline_scores
        torch.testing.assert_close(attribution.baseline_score, baseline_scores)
        torch.testing.assert_close(
            attribution.convergence_delta, attribution.maps.sum((2, 3, 4)) - drops, rtol=1e-9, atol=1e-12
        )
        assert attribution.evaluations == n_steps + 2
        deltas.append((attribution.convergence_delta / drops).abs().max())
    assert deltas[1] < 1e-3 < deltas[0]


def test_the_mean_gradient_has_the_same_convergence_delta() -> None:
    network, batch, targets = small_vgg().double(), images(2, 40, 56), torch.tensor([[1], [5]])
    product = explain(IntegratedGradients(network, n_steps=5, baselines=0.3), batch, targets)
    alone = explain(IntegratedGradients(network, n_steps=5, baselines=0.3, multiply_by_inputs=False), batch, targets)
    torch.testing.assert_close(alone.convergence_delta, product.convergence_delta)
    torch.testing.assert_close(alone.maps * (batch - 0.3)[:, None], product.maps)


def test_linearity() -> None:
    """The map of a F_1 + b F_2 is a times the one plus b times the other (the paper's section 2.3)."""
    network, batch = small_vgg().double(), images(3, 40, 56)
    mixed = nn.Linear(10, 1, bias=False).double()
    with torch.no_grad():
        mixed.weight.zero_()[0, [3, 7]] = torch.tensor([2.0, -0.5]).double()
    first, second = (IntegratedGradients(network, n_steps=6)(batch, target) for target in (3, 7))
    maps = IntegratedGradients(nn.Sequential(network, mixed), n_steps=6)(batch)
    torch.testing.assert_close(maps, 2 * first - 0.5 * second, rtol=1e-9, atol=1e-14)


def test_an_image_at_its_baseline_has_a_zero_map() -> None:
    batch = images(2, 40, 56)
    assert not IntegratedGradients(small_vgg().double(), n_steps=3, baselines=batch)(batch, 0).any()


def test_passes() -> None:
    """5 images of 200 steps in chunks of 64: 16 passes over points, one over the images, one over the baseline."""
    network = Recording(Perceptron(SHAPE))
    IntegratedGradients(network, n_steps=200, internal_batch_size=64)(images(5, *SHAPE[1:]), 1)
    assert network.passes == [5, 1, *[64] * 15, 40]


def test_targets_share_their_points() -> None:
    network, batch = Recording(Perceptron(SHAPE)), images(3, *SHAPE[1:])
    method = IntegratedGradients(network, n_steps=4, internal_batch_size=5)
    targets = torch.tensor([[0, 2], [1, 0], [2, 2]])
    both = explain(method, batch, targets)
    assert network.passes == [3, 1, 5, 5, 2]
    for column in range(2):
        one = explain(method, batch, targets[:, [column]])
        for name in ("maps", "baseline_score", "convergence_delta"):
            torch.testing.assert_close(getattr(both, name)[:, [column]], getattr(one, name), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"n_steps": -5}, "n_steps"),
        ({"n_steps": 2.5}, "n_steps"),
        ({"n_steps": 1, "quadrature": "riemann_trapezoid"}, "n_steps"),
        ({"quadrature": "simpson"}, "quadrature must be one of gausslegendre"),
        ({"internal_batch_size": 0}, "internal_batch_size"),
        ({"internal_batch_size": 1.5}, "internal_batch_size"),
        ({"baselines": "grey"}, "baselines"),
    ],
)
def test_wrong_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IntegratedGradients(small_vgg(), **options)
