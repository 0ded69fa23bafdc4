"""DeepLift's rules of a network's functions: rescale rule, product rule, max pooling, composite functions."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from pipeline.methods.composite_functions import COMPOSITE_FUNCTIONS
from pipeline.methods.function_rules import FunctionRuleMode, depends_on_input, function_of_inputs
from pipeline.methods.multipliers import (
    CallTape,
    ElementwiseRule,
    LogSumExpRule,
    MaxPoolRule,
    MultiplierRule,
    QuadraticRule,
)

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
"""Functions that are at most quadratic in two operands together."""
MAX_POOL = frozenset(f"{kind}max_pool{dimensions}d" for kind in ("", "adaptive_") for dimensions in (1, 2, 3))
RULED_FUNCTIONS = ELEMENTWISE | QUADRATIC | MAX_POOL | COMPOSITE_FUNCTIONS.keys()


class RescaleRuleMode(FunctionRuleMode):
    """Context in which each non-linear call is recorded on the tape and follows its rule."""

    method: ClassVar[str] = "DeepLift"
    ruled_functions: ClassVar[frozenset[str]] = RULED_FUNCTIONS

    def __init__(self, tape: CallTape) -> None:
        super().__init__()
        self.tape = tape

    def apply_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        if name in COMPOSITE_FUNCTIONS:
            with self:  # torch leaves a mode while it handles a call; the parts of the function need it too
                output = COMPOSITE_FUNCTIONS[name](*args, **kwargs)
            if output is not NotImplemented:
                return output
        positions = [position for position, argument in enumerate(args) if depends_on_input(argument)]
        inputs = [args[position] for position in positions]
        rule = _rule_of_call(name, args, positions)
        if rule is None or _returns_indices(name, func, kwargs):
            return func(*args, **kwargs)
        if rule is MaxPoolRule:
            return MaxPoolRule.apply(self.tape, _pool_with_winners(name, *args[1:], **kwargs), *inputs)
        return rule.apply(self.tape, function_of_inputs(func, args, positions, kwargs, in_place=in_place), *inputs)


def _pool_with_winners(name: str, *options: Any, **named: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Max pooling that returns the winners' indices too, (n, C, windows)."""
    pool, spatial = getattr(functional, name), int(name[-2])  # max_pool2d: 2

    def function(inputs: Tensor) -> tuple[Tensor, Tensor]:
        output, winners = pool(inputs, *options, **{**named, "return_indices": True})
        return output, winners.flatten(-spatial)

    return function


def _returns_indices(name: str, func: Any, kwargs: dict[str, Any]) -> bool:
    """True for max pooling that returns a tuple: by its option, or torch.adaptive_max_pool, which always does."""
    return kwargs.get("return_indices", False) or (
        name in MAX_POOL and name.startswith("adaptive") and func.__module__ != functional.__name__
    )


def _rule_of_call(name: str, args: tuple[Any, ...], positions: list[int]) -> type[MultiplierRule] | None:
    """Choose the rule by the positions of the arguments that depend on the input; None if there is none."""
    if not all(isinstance(args[position], Tensor) for position in positions):
        return None
    if name in QUADRATIC and len(positions) == 2:
        return QuadraticRule
    if positions != [0]:
        return None
    if name in MAX_POOL:
        return MaxPoolRule
    if name == "logsumexp":
        return LogSumExpRule
    return ElementwiseRule if name in ELEMENTWISE else None
