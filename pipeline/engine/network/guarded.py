"""Guard of a network's faster copy: it is used only where it has the network's outputs and gradients."""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack, _pop_mode_temporarily

from pipeline.engine.chunked_evaluator import is_out_of_memory
from pipeline.engine.network.equivalence import NotEquivalent, comparison_points
from pipeline.engine.network.trace import NETWORK_ERRORS, NoCopy

log = logging.getLogger(__name__)

Copy = TypeVar("Copy")
Batches = tuple[Tensor, ...]
"""Points (P, C, H, W) at which a copy is compared with its network, in batches that fit into memory."""
NO_COPY: tuple[type[Exception], ...] = (NoCopy, *NETWORK_ERRORS)
MOST_COPIES = 4
"""Copies that are stored at once, for images of different shapes."""


@dataclass(frozen=True)
class Refusal:
    """Reason for which a network has no copy; without the error, whose traceback would keep the unfinished copy alive.

    Attributes:
        reason: For the log.
        differs: A copy was built, but is not equivalent to the network.
    """

    reason: str
    differs: bool = False


class GuardedCopy(Generic[Copy]):
    """Builds a copy once for each state of the weights and each shape, dtype and device of the input.

    There is no copy while the network trains or carries hooks, which its graph would not run. Nor is there one if
    building it fails in whatever way a user's network can make it fail, or if it is not equivalent to the network: then
    one line of the log says why. Attributes of a network other than parameters and buffers are not watched: a copy does
    not follow a change of them.

    Args:
        model: The network; it is left unchanged.
        otherwise: What is done without a copy, for the log.

    Attributes:
        refusal: Why the last :meth:`get` returned no copy; None if it did, or if the network trains or carries hooks.
    """

    def __init__(self, model: nn.Module, *, otherwise: str) -> None:
        self.model, self.otherwise = model, otherwise
        self.refusal: Refusal | None = None
        self._state: WeightsState | None = None
        self._copies: dict[Hashable, Copy | Refusal] = {}
        self._unwatchable: Refusal | None = None  # the network's weights never count as unchanged
        self._logged: set[str] = set()

    def get(self, points: Tensor, build: Callable[[Batches], Copy], *options: Hashable) -> Copy | None:
        """Return the copy for points like these, or None where the network itself has to be evaluated.

        Args:
            points: (P, C, H, W).
            build: Builds the copy, and raises if it is not equivalent to the network at the points of the batches.
            options: Whatever else the copy depends on.

        Raises:
            MemoryError, RuntimeError: Memory does not suffice.
        """
        self.refusal = None
        if self.model.training or hooked(self.model):
            return None
        kind = (points.shape[1:], points.dtype, points.device, *options)
        current = self._unwatchable or self._current(kind, points, build)
        if isinstance(current, Refusal):
            self.refusal = current
            return None
        return current

    def _current(self, kind: Hashable, points: Tensor, build: Callable[[Batches], Copy]) -> Copy | Refusal:
        try:
            state = weights_state(self.model)
        except NETWORK_ERRORS as error:  # tensors without a version or an address, such as those of inference mode
            self._unwatchable = self._logged_once(_refusal(error))
            return self._unwatchable
        if state != self._state:
            self._state, self._copies = state, {}
        if kind not in self._copies:
            if len(self._copies) == MOST_COPIES:
                del self._copies[next(iter(self._copies))]  # the oldest
            built = _build_apart(build, points)
            if weights_state(self.model) != state:  # otherwise each call would build again
                built = self._unwatchable = Refusal("each evaluation of the network changes its weights or buffers")
            self._copies[kind] = self._logged_once(built) if isinstance(built, Refusal) else built
        return self._copies[kind]

    def _logged_once(self, refusal: Refusal) -> Refusal:
        if refusal.reason not in self._logged:
            self._logged.add(refusal.reason)
            level = logging.WARNING if refusal.differs else logging.INFO
            log.log(level, "%s: %s", self.otherwise, refusal.reason)
        return refusal


def _build_apart(build: Callable[[Batches], Copy], points: Tensor) -> Copy | Refusal:
    """Build and compare a copy, undisturbed by the caller and without a trace for it."""
    try:
        with _undisturbed(points.device):
            pair = comparison_points(points)
            try:
                return build((pair,))
            except (MemoryError, RuntimeError) as error:
                if len(points) > 1 or not is_out_of_memory(error):
                    raise
            return build(pair.split(1))  # the caller evaluates single points: two at once may be too much
    except NO_COPY as error:
        if is_out_of_memory(error):
            raise
        return _refusal(error)


def _refusal(error: Exception) -> Refusal:
    message = next(iter(str(error).splitlines()), "")
    reason = message if isinstance(error, NoCopy) else f"{type(error).__name__}: {message}"
    return Refusal(reason, isinstance(error, NotEquivalent))


WeightsState = list[tuple[int, int]]
"""Address and version of each parameter and buffer."""


def weights_state(model: nn.Module) -> WeightsState:
    """Return what changes whenever a weight of a model is replaced or written to."""
    return [(tensor.data_ptr(), tensor._version) for tensor in chain(model.parameters(), model.buffers())]


def hooked(model: nn.Module) -> bool:
    """Return whether a model carries hooks, which a copy of its graph would leave out."""
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in model.modules()
    )


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Build apart from the caller: from its graph, its modes, and the state of the random generators."""
    with ExitStack() as modes:
        for _ in _get_current_function_mode_stack():  # the rules of LRP or DeepLift, which would see our evaluations
            modes.enter_context(_pop_mode_temporarily())
        with (
            torch.inference_mode(False),  # tensors of inference mode could never take part in a backward pass
            torch.no_grad(),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
        ):
            yield
