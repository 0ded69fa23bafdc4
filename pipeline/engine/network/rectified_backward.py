"""Another backward pass of ReLU, for guided backpropagation and deconvolution."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NONLINEARITIES = frozenset((
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
    "prelu", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold",
))  # fmt: skip


class RectifiedBackward(TorchFunctionMode):
    """In its context, every ReLU and ReLU6 that a network calls passes positive gradients only.

    It rewrites calls, not modules: a functional ReLU, one in place, a reused module and a program of torch.export are
    treated alike, and the network is never changed. (Calls inside TorchScript are not seen.)

    Args:
        where_active: Pass gradients only where the unit was active as well.

    Attributes:
        rewritten: Number of calls rewritten so far.
        others: Names of the other non-linearities that were called; they keep their backward.
    """

    def __init__(self, *, where_active: bool) -> None:
        super().__init__()
        self.where_active = where_active
        self.rewritten = 0
        self.others: set[str] = set()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = function.__name__.partition(".")[0]  # relu, relu_, or relu.default of torch.ops
        if name.rstrip("_") in _RECTIFIERS:
            values, lowest, highest, inplace = _RECTIFIERS[name.rstrip("_")](*args, **kwargs)
            if lowest == 0 and isinstance(values, Tensor):  # while torch.fx traces, it is a stand-in
                self.rewritten += 1
                rectified = _Rectify.apply(values, highest, self.where_active)
                return values.copy_(rectified) if inplace or name.endswith("_") else rectified
        if name.rstrip("_") in NONLINEARITIES:
            self.others.add(name.rstrip("_"))
        return function(*args, **kwargs)


Rectifier = tuple[Tensor, float, float, bool]
"""Values, lowest and highest value that passes, and True if the result replaces the values."""


def _relu(input: Tensor, inplace: bool = False) -> Rectifier:
    return input, 0, torch.inf, inplace


def _relu6(input: Tensor, inplace: bool = False) -> Rectifier:
    return input, 0, 6, inplace


def _hardtanh(input: Tensor, min_val: float = -1, max_val: float = 1, inplace: bool = False) -> Rectifier:
    return input, min_val, max_val, inplace


_RECTIFIERS: dict[str, Callable[..., Rectifier]] = {"relu": _relu, "relu6": _relu6, "hardtanh": _hardtanh}


class _Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, highest: float, where_active: bool) -> Tensor:
        ctx.active = (values > 0) & (values < highest) if where_active else None
        return values.clamp(0, highest)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        positive = gradient.clamp(min=0)
        return (positive if ctx.active is None else positive * ctx.active), None, None
