"""How a network runs while a context lasts: up to or from a layer, or with another backward of ReLU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NONLINEARITIES = frozenset((
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
    "prelu", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold",
))  # fmt: skip


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Name and module of a layer.

    Args:
        model: The network.
        layer: A dotted name such as ``layer3.1.conv2``, or the module itself.

    Raises:
        ValueError: If the network has no such layer; the message lists near names.
    """
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        name = next((name for name, module in modules.items() if module is layer), None)
        if name is None:
            raise ValueError(f"layer: this {type(layer).__name__} is no part of the network")
        return name, layer
    if not isinstance(layer, str):
        raise ValueError(f"layer: a dotted name, not {layer!r}; put quotes around one that looks like a number")
    if layer not in modules or not layer:
        raise ValueError(f"layer: the network has no layer {layer!r}; {_near(layer, list(modules)[1:])}")
    return layer, modules[layer]


def _near(layer: str, names: Sequence[str]) -> str:
    within = [name for name in names if name.endswith("." + layer)]
    near = (within or get_close_matches(layer, names, n=5))[:5]
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"it has {', '.join(name for name in names if '.' not in name)} and the layers inside them"


@contextmanager
def output_as_leaf(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Makes what a layer gives a leaf of the graph: backward stops there, and what ran before leaves nothing behind.

    The network goes on from a copy, so that an operation in place leaves the leaf as it is. Of a tuple the first
    tensor is cut.

    Args:
        layer: A module of a network.

    Yields:
        A list that gets one tensor, which requires a gradient, for every time the layer runs.

    Raises:
        ValueError: While the network runs, if the layer gives no tensor.
    """
    leaves: list[Tensor] = []

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        first, *others = output if isinstance(output, tuple) else (output,)
        if not isinstance(first, Tensor):
            raise ValueError(f"layer: its output is a {type(first).__name__}, not a tensor")
        leaves.append(first.detach().requires_grad_())
        copy = leaves[-1].clone()
        return (copy, *others) if isinstance(output, tuple) else copy

    handle = layer.register_forward_hook(replace)
    try:
        yield leaves
    finally:
        handle.remove()


@contextmanager
def output_replaced(layer: nn.Module, values: Tensor) -> Iterator[None]:
    """Has a layer give ``values`` instead of its own; of a tuple they take the place of the first."""

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        copy = values.clone()  # what follows may work in place
        return (copy, *output[1:]) if isinstance(output, tuple) else copy

    handle = layer.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


class _Reached(Exception):
    """The layer has run; the rest of the network need not."""


def forward_until(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """What a layer gives for images (N, C, H, W); of a tuple, the first tensor. The network runs no further.

    Raises:
        ValueError: If the layer does not run, or gives no tensor.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if not isinstance(first, Tensor):
            raise ValueError(f"layer: its output is a {type(first).__name__}, not a tensor")
        kept.append(first)
        raise _Reached

    handle = layer.register_forward_hook(keep)
    try:
        model(images)
    except _Reached:
        return kept[0]
    finally:
        handle.remove()
    raise ValueError("layer: it does not run when the network does")


class RectifiedBackward(TorchFunctionMode):
    """In its context, every ReLU and ReLU6 that a network calls passes positive gradients only.

    It sees the calls, not the modules: a functional ReLU, one in place, a reused module and a program of torch.export
    are all the same to it, and the network itself is never touched. (It does not see into TorchScript.)

    Args:
        where_active: Pass gradients only where the unit was active as well.

    Attributes:
        rewritten: How many calls were rewritten so far.
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
            if lowest == 0 and isinstance(values, Tensor):  # torch.fx has its own stand-ins while it traces
                self.rewritten += 1
                rectified = _Rectify.apply(values, highest, self.where_active)
                return values.copy_(rectified) if inplace or name.endswith("_") else rectified
        if name.rstrip("_") in NONLINEARITIES:
            self.others.add(name.rstrip("_"))
        return function(*args, **kwargs)


Rectifier = tuple[Tensor, float, float, bool]
"""Values, lowest and highest that is let through, and whether the result replaces the values."""


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
