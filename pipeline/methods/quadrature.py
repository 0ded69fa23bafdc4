"""Nodes and weights that integrate over [0, 1]."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Rule = tuple[np.ndarray, np.ndarray]


LARGEST_GAUSSLEGENDRE = 4096
"""Nodes; finding them is an eigenvalue problem of that size."""


def _gausslegendre(n: int) -> Rule:
    if n > LARGEST_GAUSSLEGENDRE:
        raise ValueError(f"n_steps: gausslegendre takes up to {LARGEST_GAUSSLEGENDRE}, riemann_middle any number")
    nodes, weights = np.polynomial.legendre.leggauss(n)  # on [-1, 1]
    return (1 + nodes) / 2, weights / 2


def _even(nodes: np.ndarray) -> Rule:
    return nodes, np.full(len(nodes), 1 / len(nodes))


def _trapezoid(n: int) -> Rule:
    if n < 2:
        raise ValueError("n_steps: riemann_trapezoid needs at least 2")
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, n), weights


RULES: dict[str, Callable[[int], Rule]] = {
    "gausslegendre": _gausslegendre,
    "riemann_left": lambda n: _even(np.arange(n) / n),
    "riemann_middle": lambda n: _even((np.arange(n) + 0.5) / n),
    "riemann_right": lambda n: _even((np.arange(n) + 1) / n),
    "riemann_trapezoid": _trapezoid,
}


DEFAULT = "gausslegendre"


def rule(name: str, n_steps: int | str) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and weights that sum to one, both float64 (n_steps,).

    The weights of Captum 0.9's ``riemann_trapezoid`` sum to (n - 1) / n instead.

    Raises:
        ValueError: If the rule is unknown or ``n_steps`` too small for it.
    """
    if name not in RULES:
        raise ValueError(f"quadrature must be one of {', '.join(RULES)}, not {name!r}")
    if not isinstance(n_steps, int) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number from 1, not {n_steps!r}")
    nodes, weights = RULES[name](n_steps)
    return torch.from_numpy(nodes), torch.from_numpy(weights)
