"""Quadrature rules: nodes and weights that integrate over [0, 1]."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

NodesAndWeights = tuple[np.ndarray, np.ndarray]

LARGEST_GAUSSLEGENDRE = 4096
"""Most nodes; computing them is an eigenvalue problem of that size."""


def _gausslegendre(n: int) -> NodesAndWeights:
    if n > LARGEST_GAUSSLEGENDRE:
        raise ValueError(
            f"n_steps: gausslegendre takes up to {LARGEST_GAUSSLEGENDRE}, not {n}; choose quadrature=riemann_middle"
        )
    nodes, weights = np.polynomial.legendre.leggauss(n)  # on [-1, 1]
    return (1 + nodes) / 2, weights / 2


def _even(nodes: np.ndarray) -> NodesAndWeights:
    return nodes, np.full(len(nodes), 1 / len(nodes))


def _trapezoid(n: int) -> NodesAndWeights:
    if n < 2:
        raise ValueError(f"n_steps: riemann_trapezoid needs at least 2, not {n}")
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, n), weights


QUADRATURE_RULES: dict[str, Callable[[int], NodesAndWeights]] = {
    "gausslegendre": _gausslegendre,
    "riemann_left": lambda n: _even(np.arange(n) / n),
    "riemann_middle": lambda n: _even((np.arange(n) + 0.5) / n),
    "riemann_right": lambda n: _even((np.arange(n) + 1) / n),
    "riemann_trapezoid": _trapezoid,
}
DEFAULT_QUADRATURE = "gausslegendre"


def quadrature_rule(name: str, n_steps: int | str) -> tuple[Tensor, Tensor]:
    """Return nodes in [0, 1] and weights that sum to one, both float64 (n_steps,).

    The weights of Captum 0.9's ``riemann_trapezoid`` sum to (n - 1) / n instead.

    Raises:
        ValueError: If the rule is unknown or ``n_steps`` too small for it.
    """
    if name not in QUADRATURE_RULES:
        raise ValueError(f"quadrature must be one of {', '.join(QUADRATURE_RULES)}, not {name!r}")
    if not isinstance(n_steps, int) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number from 1, not {n_steps!r}")
    nodes, weights = QUADRATURE_RULES[name](n_steps)
    return torch.from_numpy(nodes), torch.from_numpy(weights)
