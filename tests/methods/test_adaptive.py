"""Integrals to a tolerance, of functions whose integrals are known: smooth, with kinks, with jumps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods.adaptive import MAX_NODES, SAFETY, PathIntegrals, StoppingCriterion, integrate, stopping_criterion
from pipeline.methods.strata import MIN_NODES

KINKS = torch.linspace(0.01, 0.93, 37, dtype=torch.float64) ** 2


def constant(place: Tensor) -> Tensor:
    return torch.full((len(place), 3), 2.0, dtype=torch.float64)


def smooth(place: Tensor) -> Tensor:
    return torch.stack([(3 * place).sin(), place.exp()], 1)


def kinked(place: Tensor) -> Tensor:
    """A kink for each component, (n, 37)."""
    return (place[:, None] - KINKS).relu()


def jumping(place: Tensor) -> Tensor:
    """What gradients of networks with ReLU do: a jump for each component, (n, 37)."""
    return (place[:, None] > KINKS).double()


def steep(place: Tensor) -> Tensor:
    """All that happens happens near 0.3."""
    return torch.stack([((place - 0.3) / 0.004).tanh(), ((place - 0.31) / 0.004).sigmoid()], 1)


TRUE: dict[Callable[[Tensor], Tensor], list[float] | Tensor] = {
    constant: [2.0, 2.0, 2.0],
    smooth: [(1 - np.cos(3)) / 3, np.e - 1],
    kinked: (1 - KINKS) ** 2 / 2,
    jumping: 1 - KINKS,
}


def run(
    *functions: Callable[[Tensor], Tensor], tol: float = 0, most: int = 2000, size: int = 8, scale: float = 1
) -> tuple[PathIntegrals, list[Tensor]]:
    """One image for each function, with one target; also the places at which each was asked."""
    asked: list[Tensor] = [torch.empty(0)] * len(functions)

    def gradients(image: Tensor, place: Tensor) -> Tensor:
        answers = []
        for number, one in zip(image.tolist(), place, strict=True):
            asked[number] = torch.cat([asked[number], one[None]])
            answers.append(functions[number](one[None]))
        return torch.stack(answers)

    def to_maps(sums: Tensor, image: slice) -> Tensor:
        return sums * scale

    found = integrate(
        ChunkedEvaluator(size), gradients, to_maps, images=len(functions), stopping=StoppingCriterion(tol, most)
    )
    return found, asked


def error(found: PathIntegrals, function: Callable[[Tensor], Tensor]) -> float:
    true = torch.as_tensor(TRUE[function], dtype=torch.float64)
    return float((found.sums[0, 0] - true).norm() / true.norm())


def test_a_constant_is_exact_after_the_fewest_nodes() -> None:
    found, _ = run(constant, tol=0.01)
    assert error(found, constant) < 1e-14 and found.nodes == MIN_NODES


@pytest.mark.parametrize("tol", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("function", [smooth, kinked, jumping])
def test_the_tolerance_is_kept(function: Callable[[Tensor], Tensor], tol: float) -> None:
    found, _ = run(function, tol=tol)
    assert found.error is not None
    assert error(found, function) < found.error <= tol


def test_of_jumps_the_estimate_is_near_the_error() -> None:
    """Where it matters: not ten times too careful."""
    found, _ = run(jumping, tol=0.02)
    assert found.error is not None
    assert 0.3 * found.error < error(found, jumping)


def test_nodes_go_where_the_function_changes() -> None:
    _, (asked,) = run(steep, tol=0.002)
    near = ((asked - 0.3).abs() < 0.1).double().mean()
    assert near > 0.5  # 0.18 of evenly placed ones


@pytest.mark.parametrize("most", [MIN_NODES, 50, 200])
def test_a_budget_is_used_and_kept(most: int) -> None:
    found, (asked,) = run(jumping, most=most)
    assert len(asked) == found.nodes and 0.9 * most < len(asked) <= most
    assert len(asked.unique()) == len(asked)


def test_more_nodes_are_better() -> None:
    few, many = (run(jumping, most=most)[0] for most in (50, 400))
    assert error(many, jumping) < error(few, jumping) / 4


@pytest.mark.parametrize("size", [1, 3, 16, 100])
def test_an_integral_does_not_depend_on_its_company_or_the_chunk(size: int) -> None:
    functions = [jumping, lambda place: 5 * jumping(place).flip(1), jumping, lambda place: 0 * jumping(place)]
    together, asked = run(*functions, tol=0.02, size=size)
    assert isinstance(together.nodes, Tensor) and together.error is not None
    for number, function in enumerate(functions):
        alone, (places,) = run(function, tol=0.02)
        assert torch.equal(together.sums[number], alone.sums[0]) and torch.equal(asked[number], places)
        assert (together.nodes[number], together.error[number]) == (alone.nodes, alone.error)


def test_chunks_are_full_while_images_wait() -> None:
    """Images that have converged give their places to others."""
    sizes: list[int] = []

    def gradients(image: Tensor, place: Tensor) -> Tensor:
        sizes.append(len(image))
        return jumping(place)[:, None] * (image + 1)[:, None, None]

    integrate(
        ChunkedEvaluator(12), gradients, lambda sums, image: sums, images=12, stopping=StoppingCriterion(0.05, 500)
    )
    first_part_empty = next(number for number, size in enumerate(sizes) if size < 12)
    assert sum(sizes[first_part_empty:]) < 2 * sum(sizes) / 12  # the last image's alone


def test_the_map_is_what_must_be_sure() -> None:
    """Not the sum: what the map does not show needs no nodes."""

    def gradients(image: Tensor, place: Tensor) -> Tensor:
        return torch.stack([constant(place)[:, 0], 100 * jumping(place)[:, 7]], 1)[:, None]

    def first(sums: Tensor, image: slice) -> Tensor:
        return sums * torch.tensor([1.0, 0.0])

    found = integrate(ChunkedEvaluator(8), gradients, first, images=1, stopping=StoppingCriterion(0.01, 1000))
    assert found.nodes == MIN_NODES


def test_all_targets_of_an_image_are_refined() -> None:
    def gradients(image: Tensor, place: Tensor) -> Tensor:
        return torch.stack([constant(place)[:, :1].expand(-1, 37), jumping(place), 100 * kinked(place)], 1)

    found = integrate(
        ChunkedEvaluator(8), gradients, lambda sums, image: sums, images=1, stopping=StoppingCriterion(0.01, 1000)
    )
    assert found.error is not None and found.error.shape == (1, 3) and (found.error <= 0.01).all()
    assert found.nodes == run(jumping, tol=0.01)[0].nodes  # the hardest of them


def test_a_map_of_zeros_is_sure_and_what_is_not_finite_ends() -> None:
    assert run(lambda place: 0 * jumping(place), tol=0.05)[0].error == 0
    found, _ = run(lambda place: jumping(place) / 0, tol=0.05)
    assert found.nodes == MIN_NODES and not found.sums.isfinite().any()


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
