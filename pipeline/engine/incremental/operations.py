"""Operations of a prepared network that are known to be local, and the step of each."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from pipeline.engine import winograd
from pipeline.engine.incremental.boxes import SlidingKernel
from pipeline.engine.incremental.pooling_steps import AveragePooling, MaxPooling, Sizes, pair
from pipeline.engine.incremental.sliding_steps import Linear, Slide, Winograd
from pipeline.engine.incremental.steps import Affine, Clamp, Join, Pad, Pointwise, Step

POINTWISE_MODULES = (
    nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.ELU, nn.LeakyReLU, nn.Mish, nn.Softplus,
    nn.PReLU, nn.SELU, nn.CELU, nn.LogSigmoid, nn.Softsign, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
POINTWISE_FUNCTIONS = (
    F.silu, F.gelu, F.hardswish, F.hardsigmoid, F.sigmoid, F.tanh, F.elu, F.leaky_relu, F.mish, F.softplus, F.selu,
    F.celu, torch.sigmoid, torch.tanh, torch.abs, torch.exp, torch.square, torch.sqrt, operator.neg,
)  # fmt: skip
POINTWISE_METHODS = ("sigmoid", "tanh", "abs", "exp", "square", "sqrt", "neg", "contiguous", "clone")
ARITHMETIC: dict[Any, Callable[..., Tensor]] = {
    operator.add: torch.add, torch.add: torch.add, "add": torch.add,
    operator.sub: torch.sub, torch.sub: torch.sub, "sub": torch.sub,
    operator.mul: torch.mul, torch.mul: torch.mul, "mul": torch.mul,
    operator.truediv: torch.div, torch.div: torch.div, "div": torch.div,
}  # fmt: skip

Shapes = dict[fx.Node, torch.Size]
"""(1, C, H, W) of every node whose value is a map that depends on the image."""


def step_of(node: fx.Node, shapes: Shapes, graph_module: fx.GraphModule) -> Step | None:
    """Return the step of a node, or None if its operation is not known to be local.

    Args:
        node: A node of a prepared network; its sources are the maps among its ``all_input_nodes``.
        shapes: Of the nodes that are maps.
        graph_module: The network.
    """
    sources = maps_read(node)
    if node not in shapes or not sources or not all(source in shapes for source in sources):
        return None
    sizes = pair(shapes[sources[0]][2:]), pair(shapes[node][2:])
    if node.op == "call_module":
        return _from_module(graph_module.get_submodule(str(node.target)), sizes)
    if node.target in ARITHMETIC:
        return _arithmetic(ARITHMETIC[node.target], node, shapes, graph_module)
    if len(sources) < len(node.all_input_nodes):  # only arithmetic may read a constant of the network
        return None
    if node.target in POINTWISE_FUNCTIONS:
        return Pointwise(partial(node.target, **node.kwargs)) if len(node.args) == 1 else None
    if node.op == "call_method" and node.target in POINTWISE_METHODS:
        return Pointwise(operator.methodcaller(node.target))
    builder = BUILDERS.get(node.target)
    return builder(sizes, *node.args, **node.kwargs) if builder else None


def maps_read(node: fx.Node) -> list[fx.Node]:
    """Return the nodes that ``node`` reads, without the network's constants."""
    return [source for source in node.all_input_nodes if source.op != "get_attr"]


def _from_module(module: nn.Module, sizes: Sizes) -> Step | None:
    if type(module) is nn.Conv2d:
        return _convolution(module, sizes[1])
    if type(module) is nn.MaxPool2d:
        size, rules = (module.kernel_size, module.stride, module.padding), (module.ceil_mode, module.return_indices)
        return MaxPooling(*size, module.dilation, *rules).step(sizes)
    if type(module) is nn.AvgPool2d:
        size, rules = (module.kernel_size, module.stride, module.padding), (module.ceil_mode, module.count_include_pad)
        return AveragePooling(*size, *rules, module.divisor_override).step(sizes)
    if type(module) in (nn.ZeroPad2d, nn.ConstantPad2d):
        return _pad(sizes, None, module.padding)
    if type(module) is nn.BatchNorm2d:
        return _batch_norm(module)
    if type(module) is nn.ReLU:
        return Clamp(0.0, None)
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return Clamp(module.min_val, module.max_val)
    return Pointwise(module) if type(module) in POINTWISE_MODULES else None


def _convolution(module: nn.Conv2d, shape: tuple[int, int]) -> Step | None:
    if module.padding_mode != "zeros":
        return None
    kernel, stride, dilation = pair(module.kernel_size), pair(module.stride), pair(module.dilation)
    if isinstance(module.padding, str):  # "same" or "valid"
        same = module.padding == "same"
        padding = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2) if same else (0, 0)
    else:
        padding = pair(module.padding)
    sliding, weight, bias = SlidingKernel(kernel, stride, padding, dilation), module.weight, module.bias
    if module.groups == 1 and sliding.is_pointwise:
        return Linear(weight[:, :, 0, 0].t().contiguous(), bias, sliding, shape)
    if winograd.is_faster(module):
        return Winograd(winograd.transform_kernel(weight), bias, sliding, shape)
    function = partial(
        F.conv2d, weight=weight.contiguous(memory_format=torch.channels_last), bias=bias, stride=stride,
        dilation=dilation, groups=module.groups,
    )  # fmt: skip
    return Slide(function, sliding, shape)


def _batch_norm(module: nn.BatchNorm2d) -> Step | None:
    if module.running_mean is None or module.running_var is None:
        return None
    dtype = torch.promote_types(module.running_var.dtype, torch.float32)  # as torch computes bfloat16 and float16
    mean, variance = module.running_mean.to(dtype), module.running_var.to(dtype)
    scale = torch.rsqrt(variance + module.eps) * (1.0 if module.weight is None else module.weight)
    shift = (0.0 if module.bias is None else module.bias) - mean * scale
    return Affine(scale, shift)


def _clamp(sizes: Sizes, _: Any, min: float | None = None, max: float | None = None, **__: Any) -> Step | None:
    numbers = all(bound is None or isinstance(bound, (int, float)) for bound in (min, max))
    return Clamp(min, max) if numbers else None


def _pad(sizes: Sizes, _: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Step | None:
    numbers = len(pad) == 4 and all(isinstance(number, int) and number >= 0 for number in pad)
    return Pad((pad[2], pad[0]), sizes[1]) if numbers and mode == "constant" else None


def _channels(sizes: Sizes, _: Any, index: Any) -> Step | None:
    """``x[:, first:last]``, perhaps with full slices behind."""
    everything = slice(None)
    if not isinstance(index, tuple) or index[0] != everything or any(rest != everything for rest in index[2:]):
        return None
    if len(index) < 2 or not isinstance(index[1], slice):
        return None
    numbers = (index[1].start, index[1].stop, index[1].step)
    if any(isinstance(number, fx.Node) for number in numbers):  # computed from the image's shape
        return None
    return Pointwise(operator.itemgetter((everything, index[1])))


def _concatenate(sizes: Sizes, tensors: Any, dim: int = 0) -> Step | None:
    return Join(None) if dim in (1, -3) and len(set(tensors)) == len(tensors) else None


def _arithmetic(
    function: Callable[..., Tensor], node: fx.Node, shapes: Shapes, graph_module: fx.GraphModule
) -> Step | None:
    if len(node.args) != 2 or node.kwargs:
        return None
    maps = [argument for argument in node.args if isinstance(argument, fx.Node) and argument.op != "get_attr"]
    if len(maps) == 2:
        return Join(function) if shapes[maps[0]] == shapes[maps[1]] and maps[0] is not maps[1] else None
    first, second = (_constant(argument, shapes[node], graph_module) for argument in node.args)
    if first is not None:
        return Pointwise(lambda rows: function(torch.as_tensor(first).to(rows), rows))
    return None if second is None else Pointwise(lambda rows: function(rows, second))


def _constant(argument: Any, shape: torch.Size, graph_module: fx.GraphModule) -> Tensor | float | None:
    """Return a number, or a row with a value for each channel, if ``argument`` is such a constant."""
    if isinstance(argument, (int, float)):
        return argument
    if argument.op != "get_attr":
        return None
    value = operator.attrgetter(argument.target)(graph_module)
    constant = value.shape[-2:] == (1, 1) and value.numel() in (1, shape[1])
    return value.reshape(-1) if constant else None


BUILDERS: dict[Any, Callable[..., Step | None]] = {  # (sizes, *arguments, **keywords) -> the step
    F.max_pool2d: lambda sizes, _, *args, **kwargs: MaxPooling(*args, **kwargs).step(sizes),
    torch.max_pool2d: lambda sizes, _, *args, **kwargs: MaxPooling(*args, **kwargs).step(sizes),
    F.avg_pool2d: lambda sizes, _, *args, **kwargs: AveragePooling(*args, **kwargs).step(sizes),
    F.relu: lambda *_, **__: Clamp(0.0, None), torch.relu: lambda *_, **__: Clamp(0.0, None),
    "relu": lambda *_, **__: Clamp(0.0, None), F.relu6: lambda *_, **__: Clamp(0.0, 6.0),
    torch.clamp: _clamp, "clamp": _clamp,
    F.hardtanh: lambda sizes, _, min_val=-1.0, max_val=1.0, inplace=False: Clamp(min_val, max_val),
    torch.cat: _concatenate, torch.concat: _concatenate,
    operator.getitem: _channels, F.pad: _pad,
}  # fmt: skip
