"""Graph of a network by torch.fx, which records the calls of one forward pass."""

import copy
import pickle
from collections.abc import Callable
from itertools import chain
from typing import Any

from torch import fx, nn

from pipeline.engine.chunked_evaluator import is_out_of_memory
from pipeline.engine.network.freeze import freeze

NETWORK_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,  # torch's own, deepcopy of a tensor that is no leaf, NotImplementedError, RecursionError, TorchScript
    TypeError,  # a value of the graph where Python needs a number; an object that deepcopy cannot copy
    ValueError,  # torch.fx's TraceError; checks of a network's own
    AttributeError,
    LookupError,  # KeyError: a parametrised weight that cannot be set; IndexError
    AssertionError,  # checks of shapes in a network's own code
    ArithmeticError,
    NameError,  # code that torch.fx has generated and that refers to something it does not know,
    SyntaxError,  # or is no Python
    copy.Error,
    pickle.PickleError,  # deepcopy of a function of TorchScript
)
"""Errors of code that is not ours: of a network that is copied, traced, transformed or run as torch.fx recorded it."""


class NoCopy(Exception):
    """A network can have no faster copy; the message holds the reason."""


class CannotTrace(NoCopy):
    """torch.fx cannot record the network; the message holds torch's reason."""


def trace(module: nn.Module, layer: str | None = None, *, share_weights: bool = False) -> fx.GraphModule:
    """Return the graph of a copy of ``module`` in eval mode, with its parameters frozen unless it shares them.

    torch.fx runs the Python code once, with stand-ins for tensors. It does not record ``torch.no_grad()`` and the
    backward pass of a ``torch.autograd.Function``, and takes one branch of ``isinstance(x, Tensor)``: whoever uses the
    graph in place of the network compares them first (:mod:`pipeline.engine.network.equivalence`).

    Args:
        module: The network.
        layer: Name of a module that stays one node of the graph, whatever it contains.
        share_weights: Let the graph use the network's own parameters and buffers.

    Raises:
        CannotTrace: The network cannot be copied, its path depends on its values, or it calls something that torch.fx
            does not know.
    """
    weights = chain(module.parameters(), module.buffers()) if share_weights else ()
    try:
        # Always of a copy: a network that stores an activation as attribute would be left with a stand-in for it.
        copied = copy.deepcopy(module, {id(tensor): tensor for tensor in weights}).eval()
        if not share_weights:
            freeze(copied)
        return fx.GraphModule(copied, _Tracer(layer).trace(copied))
    except NETWORK_ERRORS as error:
        if is_out_of_memory(error):
            raise
        raise CannotTrace(f"{type(error).__name__}: {error}") from error


class _Tracer(fx.Tracer):
    """Records what is inside all modules but torch's own and one layer."""

    def __init__(self, layer: str | None) -> None:
        super().__init__()
        self._layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name == self._layer or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Give the network one stand-in, for the images.

        It is never called with anything else, so that further arguments have their defaults. torch.fx would put
        stand-ins for those too, and take the wrong branch of ``if statistics is None:``.
        """
        return root_fn, [self.root, self.create_proxy("placeholder", "images", (), {})]
