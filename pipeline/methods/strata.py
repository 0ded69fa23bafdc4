"""Where the nodes of an integral over [0, 1] go, by how much the last ones changed it.

The path is walked as a = u^2, so that nodes are dense near the baseline, where gradients change most, and the integral
of g over a is that of 2 u g(u^2) over u. [0, 1] in u is cut into strata of equal length. Each has a trapezoid rule of
its own, whose cells are halved where the integral is not sure yet; the old sum T stays of use, for with the sum M over
the new middles the finer rule is (T + M) / 2. The end at u = 0, the baseline itself, has no weight and is never asked.

Between two nodes the gradient of a network with kinks wanders like Brownian motion: its mean squared difference grows
with the distance (docs/benchmarks-nodes.md). The expected squared error of a trapezoid rule is then a third of the
squared change that its last halving brought, and a quarter of what it was before.
"""

from dataclasses import dataclass

import numpy as np

STRATA = 8
FEWEST_NODES = 2 * STRATA
"""Ends and first middles of all strata: before that there is nothing to compare."""
SQUARED_ERROR = 1 / 3
"""Expected, of a rule, as a share of the squared change by its last halving."""
KEPT = 1 / 4
"""Of the expected squared error, by a halving."""


@dataclass(frozen=True)
class Nodes:
    """Where a function is asked next.

    Attributes:
        places: (n,) in (0, 1].
        weights: (n,) of the function's values there.
        slots: (n,) int, the sum to which each belongs.
    """

    places: np.ndarray
    weights: np.ndarray
    slots: np.ndarray


def ends() -> Nodes:
    """The right end of each stratum, with its weight in one of the two trapezoids that it ends."""
    u = np.arange(1, STRATA + 1) / STRATA
    return Nodes(u**2, u / STRATA, np.arange(STRATA))


def middles(strata: list[int], cells: np.ndarray) -> Nodes:
    """The middles of all cells of some strata; slot k is the k-th stratum's.

    Args:
        strata: Their numbers.
        cells: (STRATA,) int, how many each is cut into.
    """
    numbers = np.asarray(strata, int)
    counts = cells[numbers]
    slots = np.repeat(np.arange(len(numbers)), counts)
    first = np.cumsum(counts) - counts
    within = (np.arange(len(slots)) - first[slots] + 0.5) / counts[slots]
    u = (numbers[slots] + within) / STRATA
    return Nodes(u**2, 2 * u / (STRATA * counts[slots]), slots)


def worst(variances: np.ndarray, cells: np.ndarray, *, goal: float, nodes: int) -> list[int]:
    """The strata to halve next: those that gain most for each new node, as many as should bring the error to the goal.

    Args:
        variances: (STRATA,) expected squared error of each stratum's rule.
        cells: (STRATA,) int, the new nodes that halving it takes.
        goal: For the sum of the variances.
        nodes: How many new ones are allowed.

    Returns:
        Their numbers; none if the goal is reached or no halving is allowed.
    """
    chosen: list[int] = []
    expected, worth = float(variances.sum()), variances / cells
    for stratum in np.argsort(-worth, kind="stable").tolist():
        again = worth[chosen[0]] * KEPT / 2 if chosen else 0  # what halving the first once more would be worth
        if expected > goal and worth[stratum] > again and cells[stratum] <= nodes:
            chosen.append(stratum)
            expected -= (1 - KEPT) * float(variances[stratum])
            nodes -= int(cells[stratum])
    return chosen
