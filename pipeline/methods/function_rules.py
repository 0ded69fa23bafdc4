"""The mode under which a network's calls follow rules of our own: modules and functions alike, without hooks."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.overrides import TorchFunctionMode

OF_THE_SHAPE = frozenset(
    name.format(kind) for kind in ("empty", "full", "ones", "zeros") for name in ("{}_like", "new_{}")
)
NUMBERS = frozenset(("allclose", "bool", "equal", "float", "index", "int", "item", "numpy", "tolist"))
"""Functions that take values out of a tensor, if what they return is no tensor."""


class RuledCalls(TorchFunctionMode, ABC):
    """Hands the calls of functions that have a rule to it; everything else passes.

    A leaf of the autograd graph is a constant of the network (a parameter), so what requires a gradient depends on the
    input, which must be no leaf. What passes is judged afterwards, by :mod:`pipeline.methods.linearity`. A function
    that takes values out of the graph (a comparison, a branch, ``detach``) raises a ValueError in the forward pass.
    """

    method: ClassVar[str]
    """Whose rules these are, for the user."""
    ruled: ClassVar[frozenset[str]]
    """Names of the functions that may have a rule, without underscores."""

    @abstractmethod
    def by_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        """The call's value, with a node of the rule's own in the graph.

        Args:
            name: The function's, as in ``ruled``.
            func: What the network called.
            args: Of the call; some depend on the input.
            kwargs: Of the call; none depends on the input.
            in_place: Whether ``func`` writes over its first argument, which is done by who asks.
        """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = _constants(args), {key: _constants(value) for key, value in (kwargs or {}).items()}
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        if not depends(args):
            return func(*args, **kwargs)
        name, in_place = _name(func.__name__, kwargs)
        if name not in self.ruled or depends(tuple(kwargs.values())):
            return self._checked(name, func(*args, **kwargs))
        answer = self.by_rule(name, func, args, kwargs, in_place)
        return args[0].copy_(answer) if in_place and answer is not args[0] else answer

    def _checked(self, name: str, answer: Any) -> Any:
        """The answer, unless it holds values that depend on the input although the graph does not show it."""
        tensors = [part for part in (answer if isinstance(answer, tuple) else (answer,)) if isinstance(part, Tensor)]
        hidden = bool(tensors) and not depends(tensors) and name not in OF_THE_SHAPE
        if hidden or (name in NUMBERS and not tensors):
            raise ValueError(
                f"{self.method} has no rule for {name}, by which the network takes values that depend on the image out "
                "of the graph: use another method, or build the network without it"
            )
        return answer


def with_inputs(
    func: Any, args: tuple[Any, ...], places: list[int], kwargs: dict[str, Any], *, in_place: bool
) -> Callable[..., Any]:
    """The call as a function of the arguments at the places, which it leaves as they are."""

    def function(*inputs: Tensor) -> Any:
        replaced = list(args)
        for place, tensor in zip(places, inputs, strict=True):
            replaced[place] = tensor.clone() if in_place else tensor
        return func(*replaced, **kwargs)

    return function


def depends(value: Any) -> bool:
    """Whether a tensor, or one in a list or tuple, depends on the input."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, list | tuple) and any(map(depends, value))


def _name(name: str, kwargs: dict[str, Any]) -> tuple[str, bool]:
    """``relu_``, ``relu.default`` and ``__imul__`` -> relu, relu, imul; whether the function writes over its input."""
    name = name.split(".")[0]
    if name.startswith("__"):
        return name.strip("_"), name.startswith("__i")
    return name.removesuffix("_"), name.endswith("_") or bool(kwargs.get("inplace", False))


def _constants(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach() if value.is_leaf and value.requires_grad else value
    return type(value)(map(_constants, value)) if type(value) in (list, tuple) else value
