"""Quadrature rules: weights that sum to one, and exact integrals of polynomials up to each rule's degree."""

import pytest
import torch

from pipeline.methods.quadrature import QUADRATURE_RULES, quadrature_rule


@pytest.mark.parametrize("n_steps", [2, 3, 50, 1000])
@pytest.mark.parametrize("name", QUADRATURE_RULES)
def test_weights_sum_to_one_and_nodes_lie_on_the_path(name: str, n_steps: int) -> None:
    nodes, weights = quadrature_rule(name, n_steps)
    assert nodes.dtype == weights.dtype == torch.float64
    assert nodes.shape == weights.shape == (n_steps,)
    assert weights.sum().item() == pytest.approx(1, rel=1e-13)
    assert (weights > 0).all() and (nodes.diff() > 0).all()
    assert nodes.min() >= 0 and nodes.max() <= 1


@pytest.mark.parametrize(
    ("name", "degree"),
    [
        ("riemann_left", 0),
        ("riemann_right", 0),
        ("riemann_middle", 1),
        ("riemann_trapezoid", 1),
        ("gausslegendre", 9),  # 2 n - 1
    ],
)
def test_exact_up_to_its_degree_and_no_further(name: str, degree: int) -> None:
    nodes, weights = quadrature_rule(name, 5)
    for power in range(degree + 1):
        assert (weights @ nodes**power).item() == pytest.approx(1 / (power + 1), rel=1e-13)
    assert (weights @ nodes ** (degree + 1)).item() != pytest.approx(1 / (degree + 2), rel=1e-7)


def test_ends() -> None:
    assert quadrature_rule("riemann_left", 4)[0][0] == 0
    assert quadrature_rule("riemann_right", 4)[0][-1] == 1
    assert quadrature_rule("riemann_trapezoid", 4)[0][[0, -1]].tolist() == [0, 1]
    assert quadrature_rule("gausslegendre", 1)[0].tolist() == [0.5]


def test_an_eigenvalue_problem_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="n_steps: gausslegendre takes up to 4096"):
        quadrature_rule("gausslegendre", 200_000)
