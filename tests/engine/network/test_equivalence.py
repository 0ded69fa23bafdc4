"""Differences of outputs and gradients are seen, whatever their kind; rounding is not one."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.network.equivalence import (
    NotEquivalent,
    Response,
    comparison_points,
    difference,
    require_independent_rows,
    require_near,
    require_same,
    response,
)

NAN, INF = torch.nan, torch.inf


@pytest.mark.parametrize(
    ("actual", "expected", "result"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0),
        ([1.0, -3.0], [1.0, -4.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0),
        ([1.0], [1.0, 1.0], INF),
        ([1.0, NAN], [1.0, 2.0], INF),
        ([1.0, 2.0], [1.0, NAN], INF),
        ([1.0, NAN], [2.0, NAN], 0.5),
        ([NAN], [NAN], INF),
    ],
)
def test_difference(actual: list[float], expected: list[float], result: float) -> None:
    assert difference(torch.tensor(actual), torch.tensor(expected)) == result


def test_what_is_not_zero_differs_from_zeros() -> None:
    assert difference(torch.tensor([1e-9]), torch.tensor([0.0])) > 1


def test_response_is_jax_vjp_and_leaves_no_gradient() -> None:
    network, points = nn.Linear(3, 2).double(), torch.randn(4, 3, dtype=torch.float64)
    outputs, vjp = response(network, points)
    assert torch.equal(outputs, network(points)) and not outputs.requires_grad
    cotangents = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(vjp, cotangents @ network.weight)
    assert network.weight.grad is None and not points.requires_grad


@pytest.mark.parametrize("function", [lambda x: x.detach() * 2, lambda x: torch.ones_like(x), torch.sign])
def test_outputs_without_a_gradient_have_zeros(function: object) -> None:
    assert not response(function, torch.randn(2, 3)).vjp.any()  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [lambda x: x.argmax(1), lambda x: (x, x), lambda x: x > 0])
def test_outputs_must_be_a_tensor_of_real_numbers(function: object) -> None:
    with pytest.raises(TypeError, match="no tensor of real numbers"):
        response(function, torch.randn(2, 3))  # type: ignore[arg-type]


def test_same_and_near_for_rounding_and_for_kinks() -> None:
    points = torch.randn(2, 1000)
    own = response(torch.relu, points)
    require_same(response(lambda x: (3 * x).relu() / 3, points), own)
    kinked = own.vjp.clone()
    kinked[1, 7] += 0.5  # one unit on the other side of its kink
    require_near(Response(own.outputs, kinked), own)
    with pytest.raises(NotEquivalent, match="its gradients differ"):
        require_same(Response(own.outputs, kinked), own)
    for require in (require_same, require_near):
        with pytest.raises(NotEquivalent, match="its outputs differ"):
            require(Response(own.outputs + 0.01, own.vjp), own)
        with pytest.raises(NotEquivalent, match="its gradients differ"):
            require(Response(own.outputs, 1.2 * own.vjp), own)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_of_low_precision_are_compared_only_where_they_round_alike(dtype: torch.dtype) -> None:
    own = response(torch.tanh, torch.randn(2, 50).to(dtype))
    require_near(Response(own.outputs, 1.2 * own.vjp), own)
    with pytest.raises(NotEquivalent):
        require_same(Response(own.outputs, 1.2 * own.vjp), own)


def test_rows_that_depend_on_their_batch() -> None:
    points, alone = torch.randn(2, 3, 8, 8), nn.BatchNorm2d(3).eval()
    require_independent_rows(alone, [points], [alone(points)])
    together = nn.BatchNorm2d(3, track_running_stats=False).eval()
    with pytest.raises(NotEquivalent, match="with the other images of its batch"):
        require_independent_rows(together, [points], [together(points)])
    require_independent_rows(together, points.split(1), [together(point) for point in points.split(1)])


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), NAN), torch.rand(1, 3, 8, 8)])
def test_points_are_finite_and_the_second_has_no_equal_neighbours(image: Tensor) -> None:
    points = comparison_points(image)
    assert points.shape == (2, 3, 8, 8) and points.isfinite().all()
    assert torch.equal(points[:1], image.nan_to_num(0.0))
    assert points[1].diff(dim=1).abs().min() > 0
    assert torch.equal(points, comparison_points(image))
