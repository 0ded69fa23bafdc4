"""Integrated Gradients with adaptive nodes: near the true map, with an honest error estimate, image by image."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import IntegratedGradients, NoiseTunnel
from pipeline.methods.method import Attribution, image_seeds
from pipeline.methods.strata import MIN_NODES
from pipeline.view import LayerView, View
from tests.networks import Recording, Residual, images, small_vgg, with_statistics

TARGETS = torch.tensor([[1], [5], [9]])


def explain(view: View | nn.Module, batch: Tensor, targets: Tensor = TARGETS, **options: Any) -> Attribution:
    method = IntegratedGradients(view, **options)
    scores = method.view.outputs(method.logits(batch)).gather(1, targets)
    return method.explain(batch, targets, scores=scores, seeds=image_seeds(0, range(len(batch))))


def true_maps(view: View | nn.Module, batch: Tensor, targets: Tensor = TARGETS, **options: Any) -> Tensor:
    return explain(view, batch, targets, n_steps=600, quadrature="riemann_middle", **options).maps


def errors(maps: Tensor, true: Tensor) -> Tensor:
    """(N, T), relative, L2."""
    norms: Tensor = (maps - true).flatten(2).norm(dim=2) / true.flatten(2).norm(dim=2)
    return norms


@pytest.mark.parametrize("multiply_by_inputs", [True, False])
@pytest.mark.parametrize("prepare", [True, False])
def test_the_true_error_is_below_the_estimate_and_that_below_the_tolerance(
    prepare: bool, multiply_by_inputs: bool
) -> None:
    """With the affine stem hoisted and without."""
    batch, view = 3 * images(3, 40, 56), View(small_vgg().double(), prepare=prepare)
    options = {"baselines": 0.3, "multiply_by_inputs": multiply_by_inputs}
    attribution, true = explain(view, batch, n_steps="auto", tol=0.04, **options), true_maps(view, batch, **options)
    assert attribution.error_estimate is not None and attribution.error_estimate.shape == (3, 1)
    assert (errors(attribution.maps, true) < attribution.error_estimate).all() and (
        attribution.error_estimate <= 0.04
    ).all()


def test_a_residual_network() -> None:
    batch, view = 3 * images(3, 32, 40), View(with_statistics(Residual(), 32).double(), prepare=True)
    attribution = explain(view, batch, n_steps="auto", tol=0.05)
    assert attribution.error_estimate is not None and (attribution.error_estimate <= 0.05).all()
    assert (errors(attribution.maps, true_maps(view, batch)) < attribution.error_estimate).all()


def test_images_take_as_many_nodes_as_they_need() -> None:
    """The first is at its baseline; the last path crosses its kinks near the baseline, that of the other all along."""
    batch = images(3, 40, 56) * torch.tensor([0, 1, 100]).reshape(-1, 1, 1, 1)
    nodes = explain(small_vgg().double(), batch, n_steps="auto", tol=0.02).evaluations
    assert isinstance(nodes, Tensor)
    assert nodes[0] == MIN_NODES + 2 and nodes[1] > nodes[2] >= nodes[0]


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_map_does_not_depend_on_batch_chunk_or_order(chunk: int) -> None:
    network, batch, order = small_vgg().double(), 3 * images(3, 40, 56), torch.tensor([2, 0, 1])
    options: dict[str, Any] = {"n_steps": "auto", "tol": 0.03}
    together = explain(network, batch, **options)
    turned = explain(network, batch[order], TARGETS[order], internal_batch_size=chunk, **options)
    torch.testing.assert_close(turned.maps, together.maps[order], rtol=1e-9, atol=1e-12)
    for place, image in enumerate(order.tolist()):
        alone = explain(network, batch[[image]], TARGETS[[image]], **options)
        torch.testing.assert_close(alone.maps, turned.maps[[place]], rtol=1e-9, atol=1e-12)


def test_the_same_call_gives_the_same_bytes() -> None:
    network, batch = small_vgg(), images(3, 40, 56, torch.float32)
    once, again = (explain(network, batch, n_steps="auto", internal_batch_size=5) for _ in range(2))
    assert torch.equal(once.maps, again.maps) and torch.equal(once.evaluations, again.evaluations)  # type: ignore[arg-type]


def test_every_target_is_below_the_tolerance_and_they_share_their_points() -> None:
    network, batch = Recording(small_vgg().double()), 3 * images(2, 40, 56)
    targets = torch.tensor([[1, 4, 7], [2, 3, 5]])
    attribution = explain(network, batch, targets, n_steps="auto", tol=0.03)
    assert isinstance(attribution.evaluations, Tensor) and attribution.error_estimate is not None
    assert attribution.error_estimate.shape == (2, 3) and (attribution.error_estimate <= 0.03).all()
    assert (errors(attribution.maps, true_maps(network.network, batch, targets)) < attribution.error_estimate).all()
    # F at the shared baseline is evaluated once for both images; F at the images twice, once by `explain` above
    assert sum(network.passes) == attribution.evaluations.sum() + 1 - 2


@pytest.mark.parametrize("n_steps", [MIN_NODES, 40, 200])
def test_a_budget(n_steps: int) -> None:
    attribution = explain(small_vgg().double(), 3 * images(3, 40, 56), n_steps=n_steps, nodes="adaptive")
    assert isinstance(attribution.evaluations, Tensor) and attribution.error_estimate is not None
    assert (attribution.evaluations <= n_steps + 2).all() and (attribution.evaluations > 0.9 * n_steps).all()


def test_adaptive_nodes_are_better_than_as_many_fixed_ones() -> None:
    network, batch = small_vgg().double(), 5 * images(3, 40, 56)
    true = true_maps(network, batch)
    placed = errors(explain(network, batch, n_steps=50, nodes="adaptive").maps, true)
    fixed = errors(explain(network, batch, n_steps=50).maps, true)
    assert (placed < fixed).all()


def test_the_convergence_delta_is_that_of_completeness() -> None:
    network, batch = small_vgg().double(), images(3, 40, 56)
    attribution = explain(network, batch, n_steps="auto", tol=0.01)
    drops = network(batch).gather(1, TARGETS) - attribution.baseline_score
    torch.testing.assert_close(
        attribution.convergence_delta, attribution.maps.sum((2, 3, 4)) - drops, rtol=1e-9, atol=1e-12
    )


def test_in_a_layer() -> None:
    view, batch = LayerView(small_vgg().double(), layer="3"), 3 * images(3, 40, 56)
    attribution, true = explain(view, batch, n_steps="auto", tol=0.03), true_maps(view, batch)
    assert attribution.maps.shape == (3, 1, 16, 20, 28) and attribution.error_estimate is not None
    assert (errors(attribution.maps, true) < attribution.error_estimate).all() and (
        attribution.error_estimate <= 0.03
    ).all()


def test_noisy_copies_count_their_own_evaluations() -> None:
    network, batch = small_vgg().double(), images(3, 40, 56) * torch.tensor([0.1, 1, 30]).reshape(-1, 1, 1, 1)
    method = NoiseTunnel(IntegratedGradients(network, n_steps="auto"), nt_samples=2, stdevs=0.0)
    scores = method.scores(batch, TARGETS)
    smooth = method.explain(batch, TARGETS, scores=scores, seeds=image_seeds(0, range(3)))
    once = explain(network, batch, n_steps="auto")
    assert isinstance(smooth.evaluations, Tensor) and isinstance(once.evaluations, Tensor)
    assert smooth.evaluations.tolist() == (2 * once.evaluations).tolist() and smooth.error_estimate is None
    torch.testing.assert_close(smooth.maps, once.maps)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_steps": "many"}, "n_steps must be auto or a whole number, not 'many'"),
        ({"n_steps": "auto", "tol": 0}, "tol must be a number between 0 and 1, not 0"),
        ({"n_steps": "auto", "tol": 1.5}, "tol must be"),
        ({"n_steps": "auto", "tol": "small"}, "tol must be"),
        ({"tol": 0.01}, "with n_steps=50 leave tol out"),
        ({"n_steps": 200, "nodes": "adaptive", "tol": 0.01}, "with n_steps=200 leave tol out"),
        (
            {"n_steps": MIN_NODES - 1, "nodes": "adaptive"},
            f"n_steps must be at least {MIN_NODES}",
        ),
        ({"n_steps": 50.5, "nodes": "adaptive"}, "n_steps must be auto or a whole number"),
        ({"nodes": "random"}, "nodes must be fixed or adaptive, not 'random'"),
        ({"n_steps": "auto", "quadrature": "riemann_left"}, "quadrature=riemann_left: adaptive nodes"),
        ({"n_steps": 50, "nodes": "adaptive", "quadrature": "riemann_left"}, "quadrature=riemann_left"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IntegratedGradients(small_vgg(), **options)
