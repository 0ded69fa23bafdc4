"""Integrals to a tolerance, of functions whose integrals are known: smooth, with kinks, with jumps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods.adaptive_quadrature import (
    MAX_NODES,
    SAFETY,
    PathIntegrals,
    StoppingCriterion,
    integrate,
    stopping_criterion,
)
from pipeline.methods.strata import MIN_NODES

KINKS = torch.linspace(0.01, 0.93, 37, dtype=torch.float64) ** 2


def constant(position: Tensor) -> Tensor:
    return torch.full((len(position), 3), 2.0, dtype=torch.float64)


def smooth(position: Tensor) -> Tensor:
    return torch.stack([(3 * position).sin(), position.exp()], 1)


def kinked(position: Tensor) -> Tensor:
    """A kink for each component, (n, 37)."""
    return (position[:, None] - KINKS).relu()


def jumping(position: Tensor) -> Tensor:
    """A jump for each component, (n, 37), as gradients of networks with ReLU have."""
    return (position[:, None] > KINKS).double()


def steep(position: Tensor) -> Tensor:
    """Constant but for two steep steps near 0.3, (n, 2)."""
    return torch.stack([((position - 0.3) / 0.004).tanh(), ((position - 0.31) / 0.004).sigmoid()], 1)


TRUE: dict[Callable[[Tensor], Tensor], list[float] | Tensor] = {
    constant: [2.0, 2.0, 2.0],
    smooth: [(1 - np.cos(3)) / 3, np.e - 1],
    kinked: (1 - KINKS) ** 2 / 2,
    jumping: 1 - KINKS,
}


def run(
    *functions: Callable[[Tensor], Tensor], tol: float = 0, max_nodes: int = 2000, size: int = 8, scale: float = 1
) -> tuple[PathIntegrals, list[Tensor]]:
    """Integrate one image for each function, with one target; also return the positions at which each is evaluated."""
    positions: list[Tensor] = [torch.empty(0)] * len(functions)

    def gradients(image: Tensor, position: Tensor) -> Tensor:
        values = []
        for number, one in zip(image.tolist(), position, strict=True):
            positions[number] = torch.cat([positions[number], one[None]])
            values.append(functions[number](one[None]))
        return torch.stack(values)

    def to_maps(sums: Tensor, image: slice) -> Tensor:
        return sums * scale

    integrals = integrate(
        ChunkedEvaluator(size), gradients, to_maps, images=len(functions), stopping=StoppingCriterion(tol, max_nodes)
    )
    return integrals, positions


def error(integrals: PathIntegrals, function: Callable[[Tensor], Tensor]) -> float:
    true = torch.as_tensor(TRUE[function], dtype=torch.float64)
    return float((integrals.sums[0, 0] - true).norm() / true.norm())


def test_a_constant_is_exact_after_the_fewest_nodes() -> None:
    integrals, _ = run(constant, tol=0.01)
    assert error(integrals, constant) < 1e-14 and integrals.nodes == MIN_NODES


@pytest.mark.parametrize("tol", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("function", [smooth, kinked, jumping])
def test_the_error_is_below_the_estimate_and_that_below_the_tolerance(
    function: Callable[[Tensor], Tensor], tol: float
) -> None:
    integrals, _ = run(function, tol=tol)
    assert integrals.error is not None
    assert error(integrals, function) < integrals.error <= tol


def test_of_jumps_the_estimate_is_near_the_error() -> None:
    """The estimate is not ten times too large for gradients of networks with ReLU."""
    integrals, _ = run(jumping, tol=0.02)
    assert integrals.error is not None
    assert 0.3 * integrals.error < error(integrals, jumping)


def test_nodes_go_where_the_function_changes() -> None:
    _, (positions,) = run(steep, tol=0.002)
    near = ((positions - 0.3).abs() < 0.1).double().mean()
    assert near > 0.5  # 0.18 of evenly placed ones


@pytest.mark.parametrize("max_nodes", [MIN_NODES, 50, 200])
def test_a_budget_is_used_and_kept(max_nodes: int) -> None:
    integrals, (positions,) = run(jumping, max_nodes=max_nodes)
    assert len(positions) == integrals.nodes and 0.9 * max_nodes < len(positions) <= max_nodes
    assert len(positions.unique()) == len(positions)


def test_more_nodes_are_better() -> None:
    few, many = (run(jumping, max_nodes=max_nodes)[0] for max_nodes in (50, 400))
    assert error(many, jumping) < error(few, jumping) / 4


@pytest.mark.parametrize("size", [1, 3, 16, 100])
def test_an_integral_does_not_depend_on_the_batch_or_the_chunk(size: int) -> None:
    functions = [
        jumping,
        lambda position: 5 * jumping(position).flip(1),
        jumping,
        lambda position: 0 * jumping(position),
    ]
    together, positions = run(*functions, tol=0.02, size=size)
    assert isinstance(together.nodes, Tensor) and together.error is not None
    for number, function in enumerate(functions):
        alone, (own_positions,) = run(function, tol=0.02)
        assert torch.equal(together.sums[number], alone.sums[0]) and torch.equal(positions[number], own_positions)
        assert (together.nodes[number], together.error[number]) == (alone.nodes, alone.error)


def test_chunks_are_full_while_images_wait() -> None:
    """Images that have converged make room in the chunk for others."""
    sizes: list[int] = []

    def gradients(image: Tensor, position: Tensor) -> Tensor:
        sizes.append(len(image))
        return jumping(position)[:, None] * (image + 1)[:, None, None]

    integrate(
        ChunkedEvaluator(12), gradients, lambda sums, image: sums, images=12, stopping=StoppingCriterion(0.05, 500)
    )
    first_part_empty = next(number for number, size in enumerate(sizes) if size < 12)
    assert sum(sizes[first_part_empty:]) < 2 * sum(sizes) / 12  # the last image's alone


def test_the_error_of_the_map_counts_not_that_of_the_sum() -> None:
    """A component of the gradient that the map leaves out needs no nodes."""

    def gradients(image: Tensor, position: Tensor) -> Tensor:
        return torch.stack([constant(position)[:, 0], 100 * jumping(position)[:, 7]], 1)[:, None]

    def first(sums: Tensor, image: slice) -> Tensor:
        return sums * torch.tensor([1.0, 0.0])

    integrals = integrate(ChunkedEvaluator(8), gradients, first, images=1, stopping=StoppingCriterion(0.01, 1000))
    assert integrals.nodes == MIN_NODES


def test_all_targets_of_an_image_are_refined() -> None:
    def gradients(image: Tensor, position: Tensor) -> Tensor:
        return torch.stack([constant(position)[:, :1].expand(-1, 37), jumping(position), 100 * kinked(position)], 1)

    integrals = integrate(
        ChunkedEvaluator(8), gradients, lambda sums, image: sums, images=1, stopping=StoppingCriterion(0.01, 1000)
    )
    assert integrals.error is not None and integrals.error.shape == (1, 3) and (integrals.error <= 0.01).all()
    assert integrals.nodes == run(jumping, tol=0.01)[0].nodes  # the hardest of them


def test_a_map_of_zeros_has_no_error_and_one_that_is_not_finite_ends() -> None:
    assert run(lambda position: 0 * jumping(position), tol=0.05)[0].error == 0
    integrals, _ = run(lambda position: jumping(position) / 0, tol=0.05)
    assert integrals.nodes == MIN_NODES and not integrals.sums.isfinite().any()


def test_the_estimate_is_a_share_of_the_map() -> None:
    one, thousand = (run(jumping, tol=0.03, scale=scale)[0] for scale in (1, 1000))
    assert one.error is not None and thousand.error is not None
    torch.testing.assert_close(one.error, thousand.error)


def test_options() -> None:
    assert stopping_criterion(50, "fixed", 0.05) is None
    assert (
        stopping_criterion("auto", "fixed", 0.02)
        == stopping_criterion("auto", "adaptive", 0.02)
        == StoppingCriterion(0.02, MAX_NODES)
    )
    assert stopping_criterion(200, "adaptive", 0.05) == StoppingCriterion(0, 200)
    assert SAFETY >= 1
