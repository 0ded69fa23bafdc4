"""Which rule of LRP each call of a network follows, and whether that is all that the network does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from pipeline.methods.function_rules import RuledCalls, depends, with_inputs
from pipeline.methods.linearity import FACTORS, NORMS, check_nodes, linear, name_of, nodes
from pipeline.methods.lrp_rules import Epsilon, Flat, Keep, Layer, LayerRule, Pass, Plus

LAYERS = frozenset(("linear", "conv1d", "conv2d", "conv3d"))
PASSED = frozenset(("relu6", "hardtanh", "clamp"))
"""Activations that are no multiple of their input everywhere, as ReLU and leaky ReLU are."""
SCALED = frozenset(("add", "sub", "mul", "div", "iadd", "isub", "imul", "idiv", "itruediv", "truediv"))
PADS = frozenset(("pad", "constant_pad_nd"))
RULED = frozenset(rule._backward_cls for rule in (Epsilon, Plus, Flat, Pass, Keep))
HOMOGENEOUS = frozenset(
    (
        *("Relu", "LeakyRelu", "Prelu", "PreluKernel", "Maximum", "Amax"),
        *("MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D", "MkldnnMaxPool2D"),
    )
)
"""Autograd nodes of functions that are the sum of their inputs times the gradients, so that it may stand for LRP."""
UNRULED = (FACTORS.keys() - {"Mul"}) | NORMS
"""Layers that did not come by way of a rule, such as products with a weight in functions that have none."""
REARRANGED = frozenset(
    (
        *("AccumulateGrad", "Alias", "Clone", "Contiguous", "Copy", "CopySlices", "ToCopy", "Keep"),
        *("View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "Flip"),
        *("Select", "Slice", "Split", "SplitWithSizes", "Unbind", "Cat", "Stack", "PixelUnshuffle"),
    )
)
"""Autograd nodes that hand each value on as it is."""


@dataclass(frozen=True)
class Called:
    """A layer that ran: how, and on what, as long as neither was written over."""

    rule: type[LayerRule]
    layer: Layer
    inputs: Tensor
    versions: tuple[int, int]


@dataclass(frozen=True)
class Padded:
    """A padding with zeros, or with the inputs themselves, as long as nothing was written over."""

    function: Callable[[Tensor], Tensor]
    inputs: Tensor
    versions: tuple[int, int]


class Propagate(RuledCalls):
    """Gives each layer its rule; a batch norm becomes part of the layer before it, padding part of the first layer.

    Args:
        flat: The first layer follows the flat rule, other convolutions the plus rule, linear layers the epsilon rule.
            Without it, all follow the epsilon rule.
        epsilon: Of the epsilon rule.
    """

    method: ClassVar[str] = "LRP"
    ruled: ClassVar[frozenset[str]] = LAYERS | PASSED | SCALED | PADS | {"batch_norm"}

    def __init__(self, *, flat: bool, epsilon: float) -> None:
        super().__init__()
        self.flat, self.epsilon = flat, epsilon
        self._before_layers = True
        self._called, self._padded = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()

    def by_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        if not isinstance(args[0], Tensor) or not depends(args[0]) or depends(args[1:]):
            return func(*args, **kwargs)
        if name in LAYERS:
            return self._layer(name, func, *args, **kwargs)
        if name == "batch_norm":
            return self._batch_norm(func, args, kwargs)
        function = with_inputs(func, args, [0], kwargs, in_place=in_place)
        if name in PASSED and not function(args[0].new_zeros(1)).any():
            return Pass.apply(function, args[0])
        flat_follows = self.flat and self._before_layers
        if name in SCALED and flat_follows:
            return Keep.apply(function, args[0])
        answer = func(*args, **kwargs)
        if name in PADS and flat_follows and not function(torch.zeros_like(args[0])).any():
            self._padded[answer] = Padded(function, args[0], (answer._version, args[0]._version))
        return answer

    def check(self, output: Tensor) -> None:
        """Raises ValueError, by name, on what the network does to the image that no rule covers.

        Args:
            output: Of the network, in this mode.
        """
        check_nodes(output, _allowed, method=self.method)
        if not self.flat:
            return
        first = Flat._backward_cls
        for node in nodes(output.grad_fn, through=lambda node: type(node) is not first):
            if name_of(node) == "AccumulateGrad":
                raise ValueError("LRP: the flat rule needs a first layer that alone reads the image: composite=epsilon")
            for before in nodes(node) if type(node) is first else ():
                if before is not node and name_of(before) not in REARRANGED:
                    raise ValueError(
                        f"LRP: relevance of the flat rule does not pass {name_of(before)}, which stands before the "
                        "first layer: composite=epsilon"
                    )

    def _layer(
        self, name: str, func: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any
    ) -> Tensor:
        padded: Padded | None = self._padded.get(inputs)
        if padded is not None and padded.versions != (inputs._version, padded.inputs._version):
            padded = None

        def function(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            inputs = padded.function(inputs) if padded else inputs
            answer: Tensor = func(inputs, weight, bias, *rest, **named)
            return answer

        rule: type[LayerRule] = Epsilon
        if self.flat and (self._before_layers or name != "linear"):
            rule = Flat if self._before_layers else Plus
        self._before_layers = False
        return self._call(rule, Layer(function, weight, bias, self.epsilon), padded.inputs if padded else inputs)

    def _batch_norm(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        read = _of_functional if func.__module__ == functional.__name__ else _of_torch
        inputs, scale, shift = read(*args, **kwargs)
        if scale is None or shift is None:
            return func(*args, **kwargs)
        called: Called | None = self._called.get(inputs)
        if called is None or called.versions != (inputs._version, called.inputs._version):
            return self._call(Epsilon, Layer(_affine, scale, shift, self.epsilon), inputs)
        layer = called.layer
        bias = shift if layer.bias is None else scale * layer.bias + shift
        weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        return self._call(called.rule, replace(layer, weight=weight, bias=bias), called.inputs)

    def _call(self, rule: type[LayerRule], layer: Layer, inputs: Tensor) -> Tensor:
        output: Tensor = rule.apply(layer, inputs)
        if output.ndim == layer.weight.ndim:  # the channels of a batch norm are the layer's
            self._called[output] = Called(rule, layer, inputs, (output._version, inputs._version))
        return output


def _affine(inputs: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    shape = (-1, *[1] * (inputs.ndim - 2))
    return inputs * scale.reshape(shape) + (0 if shift is None else shift.reshape(shape))


def _of_functional(
    inputs: Tensor, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Inputs, scale and shift of ``torch.nn.functional.batch_norm``; None for the statistics of the batch."""
    if training or mean is None or variance is None:
        return inputs, None, None
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    return inputs, scale, -mean * scale if bias is None else bias - mean * scale


def _of_torch(inputs: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    """The same of ``torch.batch_norm``, which an exported program calls."""
    return _of_functional(inputs, mean, variance, weight, bias, *rest[:3])


def _allowed(node: Any) -> bool:
    name = name_of(node)
    return type(node) in RULED or name in HOMOGENEOUS or (linear(node) and name not in UNRULED)
