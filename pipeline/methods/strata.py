"""Strata of an adaptive quadrature over [0, 1]: nodes are added where the last ones changed the integral most.

The path is parametrised as a = u^2, so that nodes are dense near the baseline, where gradients change most, and the
integral of g over a is that of 2 u g(u^2) over u. [0, 1] in u is cut into strata of equal length. Each has a composite
trapezoid rule of its own, whose cells are halved where the estimated error is large. The old sum T is reused: with the
sum M over the new midpoints the finer rule is (T + M) / 2. The end at u = 0, the baseline itself, has weight 0 and is
never evaluated.

Between two nodes the gradient of a network with kinks wanders like Brownian motion: its mean squared difference grows
with the distance (docs/benchmarks-nodes.md). The expected squared error of a trapezoid rule is then a third of the
squared change by its last halving, and a quarter of the expected squared error before that halving.
"""

from dataclasses import dataclass

import numpy as np

STRATA = 8
MIN_NODES = 2 * STRATA
"""Ends and first midpoints of all strata: an error estimate compares these two rules."""
SQUARED_ERROR_SHARE = 1 / 3
"""Expected squared error of a rule, as a share of the squared change by its last halving."""
VARIANCE_KEPT = 1 / 4
"""Share of the expected squared error that is left after a halving."""


@dataclass(frozen=True)
class QuadratureNodes:
    """Nodes at which a function is evaluated next.

    Attributes:
        positions: (n,) in (0, 1].
        weights: (n,) of the function's values there.
        slots: (n,) int, the sum to which each belongs.
    """

    positions: np.ndarray
    weights: np.ndarray
    slots: np.ndarray


def stratum_ends() -> QuadratureNodes:
    """Return the right end of each stratum, with its weight in one of the two trapezoids that share it."""
    u = np.arange(1, STRATA + 1) / STRATA
    return QuadratureNodes(u**2, u / STRATA, np.arange(STRATA))


def cell_midpoints(strata: list[int], cells: np.ndarray) -> QuadratureNodes:
    """Return the midpoints of all cells of some strata; slot k is the k-th stratum's.

    Args:
        strata: Their numbers.
        cells: (STRATA,) int, number of cells of every stratum.
    """
    numbers = np.asarray(strata, int)
    counts = cells[numbers]
    slots = np.repeat(np.arange(len(numbers)), counts)  # (n,): 0, 0, ..., 1, 1, ...
    first = np.cumsum(counts) - counts  # each stratum's first node
    within = (np.arange(len(slots)) - first[slots] + 0.5) / counts[slots]  # position in its stratum, in (0, 1)
    u = (numbers[slots] + within) / STRATA
    return QuadratureNodes(u**2, 2 * u / (STRATA * counts[slots]), slots)


def strata_to_halve(variances: np.ndarray, cells: np.ndarray, *, goal: float, nodes: int) -> list[int]:
    """Choose the strata to halve next: those that gain most for each new node, enough to bring the error to the goal.

    Args:
        variances: (STRATA,) expected squared error of each stratum's rule.
        cells: (STRATA,) int, new nodes that halving it takes.
        goal: For the sum of the variances.
        nodes: Maximum number of new nodes.

    Returns:
        Their numbers; none if the goal is reached or no halving is allowed.
    """
    chosen: list[int] = []
    expected, gain = float(variances.sum()), variances / cells
    for stratum in np.argsort(-gain, kind="stable").tolist():
        # gain for each node of halving the first once more: a quarter of the variance over twice the cells
        second_halving = gain[chosen[0]] * VARIANCE_KEPT / 2 if chosen else 0
        if expected > goal and gain[stratum] > second_halving and cells[stratum] <= nodes:
            chosen.append(stratum)
            expected -= (1 - VARIANCE_KEPT) * float(variances[stratum])
            nodes -= int(cells[stratum])
    return chosen
