"""Adaptive quadrature: integrals of gradients along paths, each refined until its estimated error is small enough.

The (image, node) pairs of all unfinished integrals form one sequence, which is evaluated in chunks; an integral that
has converged leaves it, and the next image's takes its place.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods.strata import (
    MIN_NODES,
    SQUARED_ERROR_SHARE,
    STRATA,
    QuadratureNodes,
    cell_midpoints,
    strata_to_halve,
    stratum_ends,
)

PathGradients = Callable[[Tensor, Tensor], Tensor]
"""Numbers of images (P,) and positions on their paths (P,) float64 -> gradients (P, T, *)."""
ToMaps = Callable[[Tensor, slice], Tensor]
"""Weighted sums of some images' gradients (n, T, *), and the slice of these images -> their maps (n, T, ...)."""

AUTO = "auto"
TOL = 0.05
MAX_NODES = 1024
"""Of an image with n_steps=auto; the estimate of one that needs more stays above the tolerance."""
SAFETY = 1.3
"""Factor of an error estimate over the expected error, so that few true errors are larger than the estimate."""


@dataclass(frozen=True)
class StoppingCriterion:
    """Tolerance and budget at which an integral is refined no further.

    Attributes:
        tol: Estimated relative error of the map (L2), for each target.
        max_nodes: Nodes that an image may take.
    """

    tol: float
    max_nodes: int


def stopping_criterion(n_steps: int | str, nodes: str, tol: float) -> StoppingCriterion | None:
    """Build the stopping criterion from the options of these names; None for fixed nodes.

    Raises:
        ValueError: If one is out of range or does not go with the others.
    """
    if nodes not in ("fixed", "adaptive"):
        raise ValueError(f"nodes must be fixed or adaptive, not {nodes!r}")
    if n_steps == AUTO:
        if not isinstance(tol, int | float) or not 0 < tol < 1:
            raise ValueError(f"tol must be a number between 0 and 1, not {tol!r}")
        return StoppingCriterion(tol, MAX_NODES)
    if not isinstance(n_steps, int):
        raise ValueError(f"n_steps must be auto or a whole number, not {n_steps!r}")
    if tol != TOL:
        raise ValueError(f"tol={tol}: only n_steps=auto refines to a tolerance; with n_steps={n_steps} leave tol out")
    if nodes == "fixed":
        return None
    if n_steps < MIN_NODES:
        raise ValueError(f"n_steps must be at least {MIN_NODES} for nodes=adaptive, not {n_steps!r}")
    return StoppingCriterion(0, n_steps)


@dataclass(frozen=True)
class PathIntegrals:
    """Integrals of the gradients of N images along their paths, for T targets each.

    Attributes:
        sums: (N, T, *).
        nodes: Number of nodes of each image, int64 (N,) where images differ.
        error: (N, T), estimated relative error of the maps of the sums; None without an estimate.
    """

    sums: Tensor
    nodes: int | Tensor
    error: Tensor | None = None


class AdaptiveIntegral:
    """Integral of one image's gradients along its path, refined in rounds: all nodes of a round, then an estimate.

    It stores at most 2 STRATA (16) sums, each as large as the gradients of the image's targets, however many nodes it
    takes. The positions of its nodes depend on these gradients alone, not on the batch or the chunk.

    Args:
        number: Of the image.
        to_maps: Maps of sums of gradients, whose error counts.
        stopping: Tolerance and budget.

    Attributes:
        nodes: Number of nodes so far, those of the present round included.
        error: (T,) float64, estimated relative error of the map.
    """

    def __init__(self, number: int, to_maps: ToMaps, stopping: StoppingCriterion) -> None:
        self.number, self.nodes, self.error = number, 0, np.empty(0)
        self._to_maps, self._stopping = to_maps, stopping
        self._cells = np.ones(STRATA, int)
        self._changes = np.empty((STRATA, 0))  # (STRATA, T), L2 of the map's change by the last halving
        self._sums = torch.empty(0)  # (STRATA, T, *), trapezoid rule of each stratum
        self._new_sums: list[Tensor] = []  # (T, *) for each slot of the present round
        self._strata: list[int] = []
        self._start_round(stratum_ends())

    @property
    def positions(self) -> np.ndarray:
        """Positions of this round that are still to be evaluated; none once the integral is finished."""
        return self._round.positions[self._evaluated :]

    @property
    def value(self) -> Tensor:
        """The integral, (T, *)."""
        return self._sums.sum(0)

    def add(self, gradient: Tensor) -> None:
        """Add the gradient (T, *) at the next position."""
        if self._evaluated == 0:
            self._new_sums = [torch.zeros_like(gradient) for _ in range(int(self._round.slots[-1]) + 1)]
        self._new_sums[self._round.slots[self._evaluated]].add_(gradient, alpha=self._round.weights[self._evaluated])
        self._evaluated += 1
        if len(self.positions) == 0:
            self._end_round()

    def _start_round(self, nodes: QuadratureNodes) -> None:
        self._round, self._evaluated = nodes, 0
        self.nodes += len(nodes.positions)

    def _end_round(self) -> None:
        new_sums = torch.stack(self._new_sums)
        if self._strata:
            self._refine(new_sums)
            self._strata = self._worst_strata()
        else:  # the first round: each end belongs to the stratum on its left and the one on its right
            self._sums = new_sums.clone()
            self._sums[1:] += new_sums[:-1]
            self._changes = np.empty((STRATA, self._sums.shape[1]))
            self._strata = list(range(STRATA))
        self._new_sums = []
        self._start_round(cell_midpoints(self._strata, self._cells))

    def _refine(self, midpoint_sums: Tensor) -> None:
        """T becomes (T + M) / 2, with the sums M (strata, T, *) over the new midpoints.

        The map is linear in the sums, but may weight their components. So the L2 norm of each stratum's change is
        scaled by the ratio of the norms of map and sum for all changes of the round together: one map, not one for each
        stratum.
        """
        for midpoint_sum, stratum in zip(midpoint_sums, self._strata, strict=True):
            self._sums[stratum] += midpoint_sum.sub_(self._sums[stratum]).div_(2)
        changes = midpoint_sums  # overwritten in place, for they are as large as images
        total = changes.sum(0)
        scale = _ratio(self._map_norms(total), _norms(total))
        for change, stratum in zip(changes, self._strata, strict=True):
            self._changes[stratum] = _norms(change) * scale
        self._cells[self._strata] *= 2

    def _worst_strata(self) -> list[int]:
        """Estimate the error of each target's map, and choose the strata to halve for the target with the largest."""
        size = self._map_norms(self.value)
        variances = SQUARED_ERROR_SHARE * _ratio(SAFETY * self._changes, size) ** 2
        self.error = np.sqrt(variances.sum(0))
        goal, remaining = self._stopping.tol**2, self._stopping.max_nodes - self.nodes
        return strata_to_halve(variances[:, self.error.argmax()], self._cells, goal=goal, nodes=remaining)

    def _map_norms(self, sums: Tensor) -> np.ndarray:
        """L2 norms (T,) of the maps of sums (T, *)."""
        return _norms(self._to_maps(sums[None], slice(self.number, self.number + 1))[0])


def _norms(tensor: Tensor) -> np.ndarray:
    """L2 norms over all axes but the first, float64."""
    norms: np.ndarray = torch.linalg.vector_norm(tensor.flatten(1), dim=1).double().numpy(force=True)
    return norms


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient, with 0 / 0 = 0: a map of zeros that does not change has no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0, 0.0, part / whole)


def integrate(
    evaluator: ChunkedEvaluator, gradients: PathGradients, to_maps: ToMaps, *, images: int, stopping: StoppingCriterion
) -> PathIntegrals:
    """Integrate the gradients of some images over [0, 1], each refined on its own.

    Only as many integrals are open at a time as fill a chunk; of a finished one, a single sum stays in memory.
    """
    waiting = deque(AdaptiveIntegral(number, to_maps, stopping) for number in range(images))
    working: list[AdaptiveIntegral] = []
    finished: dict[int, tuple[Tensor, int, np.ndarray]] = {}
    while waiting or working:
        while waiting and sum(len(integral.positions) for integral in working) < evaluator.size:
            working.append(waiting.popleft())
        _evaluate_next_chunk(evaluator, gradients, working)
        for integral in working:
            if not len(integral.positions):
                finished[integral.number] = integral.value, integral.nodes, integral.error
        working = [integral for integral in working if len(integral.positions)]
    sums, nodes, errors = zip(*(finished[number] for number in range(images)), strict=True)
    return PathIntegrals(torch.stack(sums), torch.tensor(nodes), torch.from_numpy(np.stack(errors)))


def _evaluate_next_chunk(
    evaluator: ChunkedEvaluator, gradients: PathGradients, working: list[AdaptiveIntegral]
) -> None:
    """Evaluate the next positions of the integrals, as many as fill a chunk."""
    owners = [integral for integral in working for _ in integral.positions][: evaluator.size]
    positions = np.concatenate([integral.positions for integral in working])[: evaluator.size]
    numbers = torch.tensor([integral.number for integral in owners])
    results: list[Tensor] = []
    evaluator.evaluate(  # again in several chunks, should its size be halved here
        len(owners),
        lambda start, stop: results.extend(gradients(numbers[start:stop], torch.from_numpy(positions[start:stop]))),
    )
    for integral, gradient in zip(owners, results, strict=True):
        integral.add(gradient)
