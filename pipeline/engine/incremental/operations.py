"""Which step stands for which operation of a prepared network; None for an operation not known to be local."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from pipeline.engine import winograd
from pipeline.engine.incremental import steps
from pipeline.engine.incremental.boxes import LOWEST, ZERO, SlidingKernel

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


def step_of(node: fx.Node, shapes: Shapes, graph_module: fx.GraphModule) -> steps.Step | None:
    """Step of ``node``, whose sources are its ``all_input_nodes`` that are in ``shapes``.

    Args:
        node: A node of a prepared network.
        shapes: (1, C, H, W) of every node whose value is a map that depends on the image.
        graph_module: The network.
    """
    sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
    if node not in shapes or not sources or not all(source in shapes for source in sources):
        return None
    sizes = tuple(shapes[sources[0]][2:]), tuple(shapes[node][2:])
    if node.op == "call_module":
        return _from_module(graph_module.get_submodule(str(node.target)), sizes)
    if node.target in ARITHMETIC:
        return _arithmetic(ARITHMETIC[node.target], node, shapes, graph_module)
    if len(sources) < len(node.all_input_nodes):
        return None
    if node.target in POINTWISE_FUNCTIONS:
        return steps.Pointwise(partial(node.target, **node.kwargs)) if len(node.args) == 1 else None
    if node.op == "call_method" and node.target in POINTWISE_METHODS:
        return steps.Pointwise(operator.methodcaller(node.target))
    builder = BUILDERS.get(node.target)
    return builder(sizes, *node.args, **node.kwargs) if builder else None


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _from_module(module: nn.Module, sizes: Any) -> steps.Step | None:
    if type(module) is nn.Conv2d:
        return _convolution(module, sizes[1])
    if type(module) is nn.MaxPool2d:
        size = module.kernel_size, module.stride, module.padding, module.dilation
        return _max_pool(sizes, None, *size, module.ceil_mode, module.return_indices)
    if type(module) is nn.AvgPool2d:
        shared = module.kernel_size, module.stride, module.padding
        rules = module.ceil_mode, module.count_include_pad, module.divisor_override
        return _average_pool(sizes, None, *shared, *rules)
    if type(module) in (nn.ZeroPad2d, nn.ConstantPad2d):
        return _pad(sizes, None, module.padding)
    if type(module) is nn.BatchNorm2d:
        return _batch_norm(module)
    if type(module) is nn.ReLU:
        return steps.Clamp(0.0, None)
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return steps.Clamp(module.min_val, module.max_val)
    return steps.Pointwise(module) if type(module) in POINTWISE_MODULES else None


def _convolution(module: nn.Conv2d, shape: tuple[int, int]) -> steps.Step | None:
    if module.padding_mode != "zeros":
        return None
    kernel, stride, dilation = _pair(module.kernel_size), _pair(module.stride), _pair(module.dilation)
    if isinstance(module.padding, str):
        same = module.padding == "same"
        padding = (dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2) if same else (0, 0)
    else:
        padding = _pair(module.padding)
    sliding, weight, bias = SlidingKernel(kernel, stride, padding, dilation), module.weight, module.bias
    if module.groups == 1 and sliding.is_pointwise:
        return steps.Linear(weight[:, :, 0, 0].t().contiguous(), bias, sliding, shape)
    if winograd.is_faster(module):
        return steps.Winograd(winograd.transform_kernel(weight), bias, sliding, shape)
    function = partial(
        F.conv2d, weight=weight.contiguous(memory_format=torch.channels_last), bias=bias, stride=stride,
        dilation=dilation, groups=module.groups,
    )  # fmt: skip
    return steps.Slide(function, sliding, shape)


def _batch_norm(module: nn.BatchNorm2d) -> steps.Step | None:
    if module.running_mean is None or module.running_var is None:
        return None
    scale = torch.rsqrt(module.running_var + module.eps) * (1.0 if module.weight is None else module.weight)
    shift = (0.0 if module.bias is None else module.bias) - module.running_mean * scale
    return steps.Affine(scale, shift)


def _max_pool(
    sizes: Any, _: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> steps.Step | None:  # fmt: skip
    if return_indices:
        return None
    kernel, dilated = _pair(kernel_size), _pair(dilation)
    stride = _pair(stride or kernel_size)
    function = partial(F.max_pool2d, kernel_size=kernel, stride=stride, dilation=dilated)
    return steps.Slide(function, SlidingKernel(kernel, stride, _pair(padding), dilated), sizes[1], LOWEST)


def _average_pool(
    sizes: Any, _: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> steps.Step:  # fmt: skip
    kernel, before = _pair(kernel_size), _pair(padding)
    stride = _pair(stride or kernel_size)
    function = partial(F.avg_pool2d, kernel_size=kernel, stride=stride)
    ones = torch.ones(1, 1, *sizes[0], dtype=torch.float64)
    wanted = F.avg_pool2d(ones, kernel, stride, before, ceil_mode, count_include_pad, divisor_override)
    beyond = [(size - 1) * step + extent for size, step, extent in zip(sizes[1], stride, kernel, strict=True)]
    after = [max(full - size - pad, 0) for full, size, pad in zip(beyond, sizes[0], before, strict=True)]
    plain = function(F.pad(ones, (before[1], after[1], before[0], after[0])))[..., : sizes[1][0], : sizes[1][1]]
    factor = (wanted / plain)[0, 0]
    sliding = SlidingKernel(kernel, stride, before)
    return steps.Slide(function, sliding, sizes[1], ZERO, None if bool((factor == 1).all()) else factor)


def _clamp(sizes: Any, _: Any, min: float | None = None, max: float | None = None, **__: Any) -> steps.Step | None:
    numbers = all(bound is None or isinstance(bound, (int, float)) for bound in (min, max))
    return steps.Clamp(min, max) if numbers else None


def _pad(sizes: Any, _: Any, pad: Any, mode: str = "constant", value: float | None = None) -> steps.Step | None:
    numbers = len(pad) == 4 and all(isinstance(number, int) and number >= 0 for number in pad)
    return steps.Pad((pad[2], pad[0]), sizes[1]) if numbers and mode == "constant" else None


def _channels(sizes: Any, _: Any, index: Any) -> steps.Step | None:
    everything = slice(None)
    if not isinstance(index, tuple) or index[0] != everything or any(rest != everything for rest in index[2:]):
        return None
    if len(index) < 2 or not isinstance(index[1], slice) or isinstance(index[1].start, fx.Node):
        return None
    return steps.Pointwise(operator.itemgetter((everything, index[1])))


def _concatenate(sizes: Any, tensors: Any, dim: int = 0) -> steps.Step | None:
    return steps.Join(None) if dim in (1, -3) and len(set(tensors)) == len(tensors) else None


def _arithmetic(
    function: Callable[..., Tensor], node: fx.Node, shapes: Shapes, graph_module: fx.GraphModule
) -> steps.Step | None:
    if len(node.args) != 2 or node.kwargs:
        return None
    maps = [argument for argument in node.args if isinstance(argument, fx.Node) and argument.op != "get_attr"]
    if len(maps) == 2:
        return steps.Join(function) if shapes[maps[0]] == shapes[maps[1]] and maps[0] is not maps[1] else None
    first, second = (_constant(argument, shapes[node], graph_module) for argument in node.args)
    if first is not None:
        return steps.Pointwise(lambda rows: function(torch.as_tensor(first).to(rows), rows))
    return None if second is None else steps.Pointwise(lambda rows: function(rows, second))


def _constant(argument: Any, shape: torch.Size, graph_module: fx.GraphModule) -> Tensor | float | None:
    """A number, or a value a channel as a row, if ``argument`` is such a constant."""
    if isinstance(argument, (int, float)):
        return argument
    if argument.op != "get_attr":
        return None
    value = operator.attrgetter(argument.target)(graph_module)
    constant = value.shape[-2:] == (1, 1) and value.numel() in (1, shape[1])
    return value.reshape(-1) if constant else None


BUILDERS: dict[Any, Callable[..., steps.Step | None]] = {
    F.max_pool2d: _max_pool, torch.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.relu: lambda *_, **__: steps.Clamp(0.0, None), torch.relu: lambda *_, **__: steps.Clamp(0.0, None),
    "relu": lambda *_, **__: steps.Clamp(0.0, None), F.relu6: lambda *_, **__: steps.Clamp(0.0, 6.0),
    torch.clamp: _clamp, "clamp": _clamp,
    F.hardtanh: lambda sizes, _, min_val=-1.0, max_val=1.0, inplace=False: steps.Clamp(min_val, max_val),
    torch.cat: _concatenate, torch.concat: _concatenate,
    operator.getitem: _channels, F.pad: _pad,
}  # fmt: skip
