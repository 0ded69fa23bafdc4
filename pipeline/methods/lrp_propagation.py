"""LRP's rules of a network's functions, and the check that they cover all that the network does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from pipeline.methods.function_rules import FunctionRuleMode, depends_on_input, function_of_inputs
from pipeline.methods.linearity import (
    BATCH_NORM_NODES,
    FACTOR_EDGES,
    check_nodes,
    graph_nodes,
    is_linear,
    operation_name,
)
from pipeline.methods.lrp_rules import (
    EpsilonRule,
    FlatRule,
    LayerRule,
    LinearLayer,
    PassRule,
    PlusRule,
    StraightThroughRule,
)

LAYER_FUNCTIONS = frozenset(("linear", "conv1d", "conv2d", "conv3d"))
PASSED_ACTIVATIONS = frozenset(("relu6", "hardtanh", "clamp"))
"""Activations that need a rule; of ReLU and leaky ReLU, multiples of their input, the gradient is the rule."""
SCALING_FUNCTIONS = frozenset(("add", "sub", "mul", "div", "iadd", "isub", "imul", "idiv", "itruediv", "truediv"))
PADDING_FUNCTIONS = frozenset(("pad", "constant_pad_nd"))
LRP_RULE_NODES = frozenset(
    rule._backward_cls for rule in (EpsilonRule, PlusRule, FlatRule, PassRule, StraightThroughRule)
)
HOMOGENEOUS_NODES = frozenset(
    (
        *("Relu", "LeakyRelu", "Prelu", "PreluKernel", "Maximum", "Amax"),
        *("MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D", "MkldnnMaxPool2D"),
    )
)
"""Autograd nodes of functions that are the sum of their inputs times the gradients: these are LRP's multipliers."""
WEIGHT_NODES = (FACTOR_EDGES.keys() - {"Mul"}) | BATCH_NORM_NODES
"""Autograd nodes of layers that follow no rule, such as products with a weight in functions that have none."""
REARRANGING_NODES = frozenset(
    (
        *("AccumulateGrad", "Alias", "Clone", "Contiguous", "Copy", "CopySlices", "ToCopy", "StraightThroughRule"),
        *("View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "Flip"),
        *("Select", "Slice", "Split", "SplitWithSizes", "Unbind", "Cat", "Stack", "PixelUnshuffle"),
    )
)
"""Autograd nodes that pass each value on unchanged."""


@dataclass(frozen=True)
class _MergeableCall:
    """Call whose output a later call may continue, if neither output nor inputs were written over in between.

    Attributes:
        inputs: (n, ...).
        versions: Autograd's version counters of output and inputs at the call; writing in place raises them.
    """

    inputs: Tensor
    versions: tuple[int, int]

    def is_current(self, output: Tensor) -> bool:
        """Return whether output and inputs are unchanged."""
        return self.versions == (output._version, self.inputs._version)


@dataclass(frozen=True)
class LayerCall(_MergeableCall):
    """Call of a layer, into which a batch norm that follows is merged."""

    rule: type[LayerRule]
    layer: LinearLayer


@dataclass(frozen=True)
class PaddingCall(_MergeableCall):
    """Call of a padding with zeros or with values of the inputs, which is merged into the layer that follows."""

    function: Callable[[Tensor], Tensor]


class LRPRuleMode(FunctionRuleMode):
    """Context in which each layer follows its rule of LRP.

    A batch norm is merged into the layer before it, padding into the first layer.

    Args:
        flat: The first layer follows the flat rule, other convolutions the plus rule, linear layers the epsilon rule.
            If false, all follow the epsilon rule.
        epsilon: Of the epsilon rule.
    """

    method: ClassVar[str] = "LRP"
    ruled_functions: ClassVar[frozenset[str]] = (
        LAYER_FUNCTIONS | PASSED_ACTIVATIONS | SCALING_FUNCTIONS | PADDING_FUNCTIONS | {"batch_norm"}
    )

    def __init__(self, *, flat: bool, epsilon: float) -> None:
        super().__init__()
        self.flat, self.epsilon = flat, epsilon
        self._before_layers = True
        # by their output; weak, so that the autograd graph alone decides how long a tensor lives
        self._layer_calls, self._padding_calls = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()

    def apply_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        if not isinstance(args[0], Tensor) or not depends_on_input(args[0]) or depends_on_input(args[1:]):
            return func(*args, **kwargs)
        if name in LAYER_FUNCTIONS:
            return self._layer(name, func, *args, **kwargs)
        if name == "batch_norm":
            return self._batch_norm(func, args, kwargs)
        function = function_of_inputs(func, args, [0], kwargs, in_place=in_place)
        if name in PASSED_ACTIVATIONS and not function(args[0].new_zeros(1)).any():  # y / x needs f(0) = 0
            return PassRule.apply(function, args[0])
        flat_follows = self.flat and self._before_layers
        if name in SCALING_FUNCTIONS and flat_follows:
            return StraightThroughRule.apply(function, args[0])
        output = func(*args, **kwargs)
        if name in PADDING_FUNCTIONS and flat_follows and not function(torch.zeros_like(args[0])).any():
            versions = output._version, args[0]._version
            self._padding_calls[output] = PaddingCall(args[0], versions, function)
        return output

    def check(self, output: Tensor) -> None:
        """Check the autograd graph of the network's output in this mode.

        Raises:
            ValueError: On an operation that no rule covers; by name.
        """
        check_nodes(output, _allowed, method=self.method)
        if not self.flat:
            return
        first = FlatRule._backward_cls
        for node in graph_nodes(output.grad_fn, through=lambda node: type(node) is not first):
            if operation_name(node) == "AccumulateGrad":
                raise ValueError("LRP: the flat rule needs a first layer that alone reads the image: composite=epsilon")
            for before in graph_nodes(node) if type(node) is first else ():
                if before is not node and operation_name(before) not in REARRANGING_NODES:
                    raise ValueError(
                        f"LRP: relevance of the flat rule does not pass {operation_name(before)}, which stands before "
                        "the first layer: composite=epsilon"
                    )

    def _layer(
        self, name: str, func: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any
    ) -> Tensor:
        padding: PaddingCall | None = self._padding_calls.get(inputs)
        if padding is not None and not padding.is_current(inputs):
            padding = None

        def function(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            inputs = padding.function(inputs) if padding else inputs
            output: Tensor = func(inputs, weight, bias, *rest, **named)
            return output

        rule: type[LayerRule] = EpsilonRule
        if self.flat and (self._before_layers or name != "linear"):
            rule = FlatRule if self._before_layers else PlusRule
        self._before_layers = False
        layer = LinearLayer(function, weight, bias, self.epsilon)
        return self._call_layer(rule, layer, padding.inputs if padding else inputs)

    def _batch_norm(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Merge batch norm into the layer before it: W' = scale W, b' = scale b + shift; else a layer of its own."""
        scale_and_shift = _functional_batch_norm if func.__module__ == functional.__name__ else _torch_batch_norm
        inputs, scale, shift = scale_and_shift(*args, **kwargs)
        if scale is None or shift is None:
            return func(*args, **kwargs)
        before: LayerCall | None = self._layer_calls.get(inputs)
        if before is None or not before.is_current(inputs):
            return self._call_layer(EpsilonRule, LinearLayer(_affine, scale, shift, self.epsilon), inputs)
        layer = before.layer
        bias = shift if layer.bias is None else scale * layer.bias + shift
        weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))  # (K, ...) times (K, 1, ...)
        return self._call_layer(before.rule, replace(layer, weight=weight, bias=bias), before.inputs)

    def _call_layer(self, rule: type[LayerRule], layer: LinearLayer, inputs: Tensor) -> Tensor:
        output: Tensor = rule.apply(layer, inputs)
        if output.ndim == layer.weight.ndim:  # the channels of a batch norm are the layer's
            self._layer_calls[output] = LayerCall(inputs, (output._version, inputs._version), rule, layer)
        return output


def _affine(inputs: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    shape = (-1, *[1] * (inputs.ndim - 2))
    return inputs * scale.reshape(shape) + (0 if shift is None else shift.reshape(shape))


def _functional_batch_norm(  # torch's own signature, hence eight parameters  # noqa: PLR0913 - the signature of PyTorch's function
    inputs: Tensor, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Return inputs, scale and shift of ``torch.nn.functional.batch_norm``; None where the batch's statistics count."""
    if training or mean is None or variance is None:
        return inputs, None, None
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    return inputs, scale, -mean * scale if bias is None else bias - mean * scale


def _torch_batch_norm(inputs: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    """Return the same of ``torch.batch_norm``, which an exported program calls with its arguments in another order."""
    return _functional_batch_norm(inputs, mean, variance, weight, bias, *rest[:3])


def _allowed(node: Any) -> bool:
    """Return whether relevance passes an autograd node by a rule or by the plain gradient."""
    name = operation_name(node)
    return type(node) in LRP_RULE_NODES or name in HOMOGENEOUS_NODES or (is_linear(node) and name not in WEIGHT_NODES)
