"""Which rule of DeepLift each call of a network follows."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from pipeline.methods.composite_functions import COMPOSED
from pipeline.methods.function_rules import RuledCalls, depends, with_inputs
from pipeline.methods.multipliers import Elementwise, LogSumExp, MaxPool, Quadratic, Rule, Tape

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


class Rescale(RuledCalls):
    """Records each non-linear call on the tape and gives it its rule."""

    method: ClassVar[str] = "DeepLift"
    ruled: ClassVar[frozenset[str]] = RULED

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def by_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        if name in COMPOSED:
            with self:
                answer = COMPOSED[name](*args, **kwargs)
            if answer is not NotImplemented:
                return answer
        places = [place for place, argument in enumerate(args) if depends(argument)]
        inputs = [args[place] for place in places]
        rule = _rule(name, args, places)
        if rule is None or _gives_indices(name, func, kwargs):
            return func(*args, **kwargs)
        if rule is MaxPool:
            return MaxPool.apply(self.tape, _with_winners(name, *args[1:], **kwargs), *inputs)
        return rule.apply(self.tape, with_inputs(func, args, places, kwargs, in_place=in_place), *inputs)


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
