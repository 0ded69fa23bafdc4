"""Backward rules for a network's functions (DeepLift, LRP), of modules and plain calls alike, without hooks."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

SHAPE_ONLY_FUNCTIONS = frozenset(
    name.format(kind) for kind in ("empty", "full", "ones", "zeros") for name in ("{}_like", "new_{}")
)
"""Functions that read a tensor's shape and not its values."""
VALUE_FUNCTIONS = frozenset(("allclose", "bool", "equal", "float", "index", "int", "item", "numpy", "tolist"))
"""Functions that take values out of a tensor, if their result is not a tensor."""


class FunctionRuleMode(TorchFunctionMode, ABC):
    """Context in which calls of functions that have a rule follow it; all other calls pass unchanged.

    A leaf of the autograd graph is a constant of the network (a parameter), so what requires a gradient depends on the
    input, which must not be a leaf. Calls that pass are checked afterwards, by :mod:`pipeline.methods.linearity`. A
    function that takes values out of the graph (a comparison, a branch, ``detach``) raises a ValueError in the forward
    pass.
    """

    method: ClassVar[str]
    """Name of the method that the rules belong to, for messages."""
    ruled_functions: ClassVar[frozenset[str]]
    """Names of the functions that may have a rule, without underscores."""

    @abstractmethod
    def apply_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        """Compute the call's value, with the rule's own node in the autograd graph.

        Args:
            name: The function's, as in ``ruled_functions``.
            func: The function that the network called.
            args: Of the call; some depend on the input.
            kwargs: Of the call; none depends on the input.
            in_place: True if ``func`` writes over its first argument; the caller copies the value there.
        """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args = _detach_parameters(args)
        kwargs = {key: _detach_parameters(value) for key, value in (kwargs or {}).items()}
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        if not depends_on_input(args):
            return func(*args, **kwargs)
        name, in_place = _function_name(func.__name__, kwargs)
        if name not in self.ruled_functions or depends_on_input(tuple(kwargs.values())):
            return self._check_graph(name, func(*args, **kwargs))
        output = self.apply_rule(name, func, args, kwargs, in_place)
        return args[0].copy_(output) if in_place and output is not args[0] else output

    def _check_graph(self, name: str, output: Any) -> Any:
        """Return the output, if the autograd graph shows all of its dependence on the input."""
        tensors = [part for part in (output if isinstance(output, tuple) else (output,)) if isinstance(part, Tensor)]
        hidden = bool(tensors) and not depends_on_input(tensors) and name not in SHAPE_ONLY_FUNCTIONS
        if hidden or (name in VALUE_FUNCTIONS and not tensors):
            raise ValueError(
                f"{self.method} has no rule for {name}, by which the network takes values that depend on the image out "
                "of the graph: use another method, or build the network without it"
            )
        return output


def function_of_inputs(
    func: Any, args: tuple[Any, ...], positions: list[int], kwargs: dict[str, Any], *, in_place: bool
) -> Callable[..., Any]:
    """Wrap a call as a function of the arguments at the positions, which it does not write over."""

    def function(*inputs: Tensor) -> Any:
        replaced = list(args)
        for position, tensor in zip(positions, inputs, strict=True):
            replaced[position] = tensor.clone() if in_place else tensor
        return func(*replaced, **kwargs)

    return function


def depends_on_input(value: Any) -> bool:
    """Return whether a tensor, or one in a list or tuple, depends on the network's input."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, list | tuple) and any(map(depends_on_input, value))


def _function_name(name: str, kwargs: dict[str, Any]) -> tuple[str, bool]:
    """Normalise ``relu_``, ``relu.default``, ``__imul__`` to relu, relu, imul; True if the function is in place."""
    name = name.split(".")[0]
    if name.startswith("__"):
        return name.strip("_"), name.startswith("__i")
    return name.removesuffix("_"), name.endswith("_") or bool(kwargs.get("inplace", False))


def _detach_parameters(value: Any) -> Any:
    """Detach the leaves of the autograd graph in a value: a parameter then counts as a constant."""
    if isinstance(value, Tensor):
        return value.detach() if value.is_leaf and value.requires_grad else value
    return type(value)(map(_detach_parameters, value)) if type(value) in (list, tuple) else value
