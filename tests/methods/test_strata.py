"""Strata of adaptive quadrature: the trapezoid rules of their nodes, and the choice of the stratum to halve next."""

import numpy as np
import pytest

from pipeline.methods.strata import MIN_NODES, STRATA, cell_midpoints, strata_to_halve, stratum_ends

ALL = list(range(STRATA))


def rule(halvings: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the whole integral after every stratum was halved some times."""
    first = stratum_ends()
    positions, weights = first.positions, 2 * first.weights  # each end ends two trapezoids,
    weights[-1] /= 2  # the last only one
    cells = np.ones(STRATA, int)
    for _ in range(halvings):
        new = cell_midpoints(ALL, cells)
        positions, weights = np.concatenate([positions, new.positions]), np.concatenate([weights, new.weights]) / 2
        cells *= 2
    return positions, weights


@pytest.mark.parametrize("halvings", [0, 1, 3])
def test_halved_everywhere_it_is_the_trapezoid_rule_of_the_substituted_integral(halvings: int) -> None:
    """The integrand is 2 u g(u^2), with nodes at equal distances in u."""
    count = STRATA * 2**halvings
    u = np.arange(1, count + 1) / count
    expected = 2 * u / count
    expected[-1] /= 2
    positions, weights = rule(halvings)
    order = np.argsort(positions)
    np.testing.assert_allclose(positions[order], u**2, rtol=1e-14)
    np.testing.assert_allclose(weights[order], expected, rtol=1e-14)
    assert weights.sum() == pytest.approx(1, abs=1e-14)  # a constant is integrated exactly


def test_the_baseline_itself_is_not_evaluated() -> None:
    assert rule(4)[0].min() > 0 and rule(4)[0].max() == 1


def test_the_fewest_nodes_are_ends_and_midpoints() -> None:
    assert len(rule(1)[0]) == MIN_NODES


def test_midpoints_of_some_strata() -> None:
    cells = np.array([1, 1, 4, 1, 2] + [1] * (STRATA - 5))
    nodes = cell_midpoints([4, 2], cells)
    u = np.array([4.25, 4.75, 2.125, 2.375, 2.625, 2.875]) / STRATA
    np.testing.assert_allclose(nodes.positions, u**2, rtol=1e-14)
    np.testing.assert_allclose(nodes.weights, 2 * u / STRATA / np.array([2, 2, 4, 4, 4, 4]), rtol=1e-14)
    assert nodes.slots.tolist() == [0, 0, 1, 1, 1, 1]


def test_no_strata_have_no_midpoints() -> None:
    assert cell_midpoints([], np.ones(STRATA, int)).positions.size == 0


def test_those_that_gain_most_for_a_node_come_first() -> None:
    variances, cells = np.array([1.0, 4.0, 4.0, 0.7]), np.array([1, 2, 1, 1])
    assert strata_to_halve(variances, cells, goal=0, nodes=100) == [2, 1, 0, 3]
    assert strata_to_halve(variances, cells, goal=6.5, nodes=100) == [2, 1]  # 9.7 - 3 is 6.7, less another 3 is below
    assert strata_to_halve(variances, cells, goal=7, nodes=100) == [2]


def test_a_stratum_that_gains_less_than_halving_the_first_once_more_waits() -> None:
    assert strata_to_halve(np.array([8.1, 1.0, 1.1]), np.ones(3, int), goal=0, nodes=100) == [0, 2]


def test_no_more_nodes_than_allowed() -> None:
    variances, cells = np.array([9.0, 2.0, 1.2]), np.array([4, 1, 1])
    assert strata_to_halve(variances, cells, goal=0, nodes=5) == [0, 1]
    assert strata_to_halve(variances, cells, goal=0, nodes=3) == [1, 2]
    assert strata_to_halve(variances, cells, goal=0, nodes=0) == []


def test_a_relative_error_of_nothing_is_refined_all_the_same() -> None:
    assert strata_to_halve(np.array([np.inf, 1, np.inf]), np.ones(3, int), goal=0.1, nodes=100) == [0]


@pytest.mark.parametrize("variances", [np.zeros(3), np.full(3, np.nan)])
def test_nothing_to_gain(variances: np.ndarray) -> None:
    assert strata_to_halve(variances, np.ones(3, int), goal=0, nodes=100) == []
