"""Integrals along paths, to a tolerance: one that has converged leaves the flat line, the next takes its place."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods.strata import FEWEST_NODES, SQUARED_ERROR, STRATA, Nodes, ends, middles, worst

Gradients = Callable[[Tensor, Tensor], Tensor]
"""Numbers of images (P,) and places on their paths (P,) float64 -> gradients (P, T, *)."""
ToMaps = Callable[[Tensor, slice], Tensor]
"""Weighted sums of some images' gradients (n, T, *), and which images -> the maps that they stand for (n, T, ...)."""

AUTO = "auto"
TOL = 0.05
MOST_NODES = 1024
"""Of an image with n_steps=auto; the estimate of one that needs more stays above the tolerance."""
SAFETY = 1.3
"""What is said is this many times what is expected, so that few true errors are larger."""


@dataclass(frozen=True)
class Precision:
    """When an integral is good enough.

    Attributes:
        tol: Estimated relative error of the map (L2), for each target.
        most: Nodes that an image may take.
    """

    tol: float
    most: int


def precision_of(n_steps: int | str, nodes: str, tol: float) -> Precision | None:
    """What is asked by options of these names, or None for fixed nodes.

    Raises:
        ValueError: If one is out of range or means nothing beside the others.
    """
    if nodes not in ("fixed", "adaptive"):
        raise ValueError(f"nodes must be fixed or adaptive, not {nodes!r}")
    if n_steps == AUTO:
        if not isinstance(tol, int | float) or not 0 < tol < 1:
            raise ValueError(f"tol must be a number between 0 and 1, not {tol!r}")
        return Precision(tol, MOST_NODES)
    if not isinstance(n_steps, int):
        raise ValueError(f"n_steps must be auto or a whole number, not {n_steps!r}")
    if tol != TOL:
        raise ValueError(f"tol={tol}: with n_steps={n_steps} nothing is refined to a tolerance; n_steps=auto is")
    if nodes == "fixed":
        return None
    if n_steps < FEWEST_NODES:
        raise ValueError(f"n_steps must be at least {FEWEST_NODES} for nodes=adaptive, not {n_steps!r}")
    return Precision(0, n_steps)


@dataclass(frozen=True)
class Integrals:
    """The integrals of the gradients of N images, for T targets each.

    Attributes:
        sums: (N, T, *).
        nodes: At which they were asked for each image, int64 (N,) where images differ.
        error: (N, T), estimated relative error of the maps that the sums stand for; None without an estimate.
    """

    sums: Tensor
    nodes: int | Tensor
    error: Tensor | None = None


class Integral:
    """The integral of an image's gradients while it is refined.

    It keeps at most 2 STRATA (16) sums, each as large as the gradients of the image's targets, however many nodes it
    takes. Where the nodes lie follows from these gradients alone.

    Args:
        number: Of the image.
        to_maps: What a sum of gradients means.
        precision: When it is good enough.

    Attributes:
        asked: Nodes so far, those of the present round included.
        error: (T,) float64, estimated relative error of the map.
    """

    def __init__(self, number: int, to_maps: ToMaps, precision: Precision) -> None:
        self.number, self.asked, self.error = number, 0, np.empty(0)
        self._to_maps, self._precision = to_maps, precision
        self._cells = np.ones(STRATA, int)
        self._changes = np.empty((STRATA, 0))  # (STRATA, T), L2 of the map's change by the last halving
        self._sums, self._fresh = torch.empty(0), list[Tensor]()
        self._strata: list[int] = []
        self._ask(ends())

    @property
    def places(self) -> np.ndarray:
        """Where the gradient is still asked in this round; none once the integral is finished."""
        return self._nodes.places[self._answered :]

    @property
    def value(self) -> Tensor:
        """(T, *)."""
        return self._sums.sum(0)

    def add(self, gradient: Tensor) -> None:
        """Takes the gradient (T, *) at the next place."""
        if self._answered == 0:
            self._fresh = [torch.zeros_like(gradient) for _ in range(int(self._nodes.slots[-1]) + 1)]
        self._fresh[self._nodes.slots[self._answered]].add_(gradient, alpha=self._nodes.weights[self._answered])
        self._answered += 1
        if len(self.places) == 0:
            self._end_round()

    def _ask(self, nodes: Nodes) -> None:
        self._nodes, self._answered = nodes, 0
        self.asked += len(nodes.places)

    def _end_round(self) -> None:
        fresh = torch.stack(self._fresh)
        if self._strata:
            self._refine(fresh)
            self._strata = self._worst()
        else:
            self._sums = fresh.clone()
            self._sums[1:] += fresh[:-1]
            self._changes = np.empty((STRATA, self._sums.shape[1]))
            self._strata = list(range(STRATA))
        self._fresh = []
        self._ask(middles(self._strata, self._cells))

    def _refine(self, fresh: Tensor) -> None:
        """T becomes (T + M) / 2, with the fresh sums M (strata, T, *).

        How much that changes the map is measured on the sum of all changes of the round.
        """
        for change, stratum in zip(fresh, self._strata, strict=True):
            self._sums[stratum] += change.sub_(self._sums[stratum]).div_(2)
        change = fresh.sum(0)
        scale = _ratio(self._map_norms(change), _norms(change))
        for own, stratum in zip(fresh, self._strata, strict=True):
            self._changes[stratum] = _norms(own) * scale
        self._cells[self._strata] *= 2

    def _worst(self) -> list[int]:
        """The strata to halve, for the target whose map is least sure."""
        size = self._map_norms(self.value)
        variances = SQUARED_ERROR * _ratio(SAFETY * self._changes, size) ** 2
        self.error = np.sqrt(variances.sum(0))
        goal, left = self._precision.tol**2, self._precision.most - self.asked
        return worst(variances[:, self.error.argmax()], self._cells, goal=goal, nodes=left)

    def _map_norms(self, sums: Tensor) -> np.ndarray:
        """L2 (T,) of the maps that sums (T, *) stand for."""
        return _norms(self._to_maps(sums[None], slice(self.number, self.number + 1))[0])


def _norms(tensor: Tensor) -> np.ndarray:
    """L2 over all axes but the first, float64."""
    norms: np.ndarray = torch.linalg.vector_norm(tensor.flatten(1), dim=1).double().numpy(force=True)
    return norms


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotient, in which nothing is no part of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0, 0.0, part / whole)


def integrate(
    evaluator: ChunkedEvaluator, gradients: Gradients, to_maps: ToMaps, *, images: int, precision: Precision
) -> Integrals:
    """Integrals over [0, 1] of the gradients of some images, each refined on its own.

    Only as many images are open at a time as fill a chunk of the line; of a finished one its one sum is kept.
    """
    waiting = deque(Integral(number, to_maps, precision) for number in range(images))
    working: list[Integral] = []
    finished: dict[int, tuple[Tensor, int, np.ndarray]] = {}
    while waiting or working:
        while waiting and sum(len(one.places) for one in working) < evaluator.size:
            working.append(waiting.popleft())
        _ask_chunk(evaluator, gradients, working)
        finished |= {one.number: (one.value, one.asked, one.error) for one in working if not len(one.places)}
        working = [one for one in working if len(one.places)]
    sums, nodes, errors = zip(*(finished[number] for number in range(images)), strict=True)
    return Integrals(torch.stack(sums), torch.tensor(nodes), torch.from_numpy(np.stack(errors)))


def _ask_chunk(evaluator: ChunkedEvaluator, gradients: Gradients, working: list[Integral]) -> None:
    """Asks the next places of the integrals, as many as fill a chunk."""
    owners = [one for one in working for _ in one.places][: evaluator.size]
    places = np.concatenate([one.places for one in working])[: evaluator.size]
    numbers = torch.tensor([one.number for one in owners])
    answers: list[Tensor] = []
    evaluator.evaluate(
        len(owners),
        lambda start, stop: answers.extend(gradients(numbers[start:stop], torch.from_numpy(places[start:stop]))),
    )
    for one, answer in zip(owners, answers, strict=True):
        one.add(answer)
