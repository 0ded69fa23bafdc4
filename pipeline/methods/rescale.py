"""The mode under which a network's non-linear calls follow the rules: modules and functions alike, without hooks."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pipeline.methods.composed import COMPOSED
from pipeline.methods.rules import Elementwise, LogSumExp, MaxPool, Quadratic, Rule, Tape

ELEMENTWISE = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish"),
        *("hardswish", "hardsigmoid", "hardtanh", "hardshrink", "softshrink", "threshold", "_threshold"),
        *("sigmoid", "special_expit", "logsigmoid", "log_sigmoid", "tanh", "tanhshrink", "softsign", "softplus"),
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "atan", "arctan", "erf", "abs"),
        *("square", "sqrt", "rsqrt", "reciprocal", "pow", "rpow", "clamp", "clip", "clamp_min", "clamp_max"),
    )
)
QUADRATIC = frozenset(
    (
        *("mul", "imul", "rmul", "multiply", "matmul", "rmatmul", "mm", "bmm", "einsum", "linear"),
        *("addcmul", "addmm", "addbmm", "baddbmm", "conv1d", "conv2d", "conv3d"),
    )
)
"""At most quadratic in two operands together."""
MAX_POOL = frozenset(f"{kind}max_pool{dimensions}d" for kind in ("", "adaptive_") for dimensions in (1, 2, 3))
RULED = ELEMENTWISE | QUADRATIC | MAX_POOL | COMPOSED.keys()
OF_THE_SHAPE = frozenset(
    name.format(kind) for kind in ("empty", "full", "ones", "zeros") for name in ("{}_like", "new_{}")
)
NUMBERS = frozenset(("allclose", "bool", "equal", "float", "index", "int", "item", "numpy", "tolist"))
"""Functions that take values out of a tensor, if what they return is no tensor."""


class Rescale(TorchFunctionMode):
    """Records each non-linear call on the tape and gives it its rule; everything else passes.

    A leaf of the autograd graph is a constant of the network (a parameter), so what requires a gradient depends on the
    input, which must be no leaf. What passes is judged afterwards, by :mod:`pipeline.methods.linear`. A function that
    takes values out of the graph (a comparison, a branch, ``detach``) raises a ValueError in the network's forward.
    """

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = _constants(args), {key: _constants(value) for key, value in (kwargs or {}).items()}
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        if not _depends(args):
            return func(*args, **kwargs)
        name, in_place = _name(func.__name__, kwargs)
        if name not in RULED or _depends(tuple(kwargs.values())):
            return _checked(name, func(*args, **kwargs))
        answer = self._by_rule(name, func, args, kwargs, in_place)
        return args[0].copy_(answer) if in_place and answer is not args[0] else answer

    def _by_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        """The call's value, with a node of the rule's own in the graph."""
        if name in COMPOSED:
            with self:
                answer = COMPOSED[name](*args, **kwargs)
            if answer is not NotImplemented:
                return answer
        places = [place for place, argument in enumerate(args) if _depends(argument)]
        inputs = [args[place] for place in places]
        rule = _rule(name, args, places)
        if rule is None or _gives_indices(name, func, kwargs):
            return func(*args, **kwargs)
        if rule is MaxPool:
            return MaxPool.apply(self.tape, _with_winners(name, *args[1:], **kwargs), *inputs)

        def function(*inputs: Tensor) -> Any:
            replaced = list(args)
            for place, tensor in zip(places, inputs, strict=True):
                replaced[place] = tensor.clone() if in_place else tensor
            return func(*replaced, **kwargs)

        return rule.apply(self.tape, function, *inputs)


def _with_winners(name: str, *options: Any, **named: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    pool, spatial = getattr(functional, name), int(name[-2])

    def function(inputs: Tensor) -> tuple[Tensor, Tensor]:
        output, winners = pool(inputs, *options, **{**named, "return_indices": True})
        return output, winners.flatten(-spatial)

    return function


def _gives_indices(name: str, func: Any, kwargs: dict[str, Any]) -> bool:
    """Max pooling that returns a tuple: asked to, or the adaptive one below torch.nn.functional."""
    return kwargs.get("return_indices", False) or (
        name in MAX_POOL and name.startswith("adaptive") and func.__module__ != functional.__name__
    )


def _rule(name: str, args: tuple[Any, ...], places: list[int]) -> type[Rule] | None:
    if not all(isinstance(args[place], Tensor) for place in places):
        return None
    if name in QUADRATIC and len(places) == 2:
        return Quadratic
    if places != [0]:
        return None
    if name in MAX_POOL:
        return MaxPool
    if name == "logsumexp":
        return LogSumExp
    return Elementwise if name in ELEMENTWISE else None


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


def _depends(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, list | tuple) and any(map(_depends, value))


def _checked(name: str, answer: Any) -> Any:
    """The answer, unless it holds values that depend on the input although the graph does not show it."""
    tensors = [part for part in (answer if isinstance(answer, tuple) else (answer,)) if isinstance(part, Tensor)]
    hidden = bool(tensors) and not _depends(tensors) and name not in OF_THE_SHAPE
    if hidden or (name in NUMBERS and not tensors):
        raise ValueError(
            f"DeepLift has no rule for {name}, by which the network takes values that depend on the image out of the "
            "graph: use another method, or build the network without it"
        )
    return answer
