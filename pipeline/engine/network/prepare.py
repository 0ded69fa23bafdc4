"""Copy of a network that is faster for many evaluations: batch norm folded, nothing in place, channels last."""

import copy
import operator
from itertools import chain
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import StochasticDepth, stochastic_depth

from pipeline.engine.network.class_token import read_one_token
from pipeline.engine.network.freeze import freeze
from pipeline.engine.network.trace import trace

IDENTITIES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity, StochasticDepth)
DROPOUTS = (nn.functional.dropout, nn.functional.dropout2d, stochastic_depth)
OUT_OF_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
    nn.functional.relu_: nn.functional.relu,
}
OUT_OF_PLACE_METHODS = ("relu_", "add_", "sub_", "mul_", "div_", "clamp_", "sigmoid_", "tanh_")


def fold(graph_module: fx.GraphModule, layer: str | None = None) -> fx.GraphModule:
    """Fold batch norms into the convolutions before them, and drop what does nothing in eval mode, in place.

    A convolution must run once, and the batch norm alone must read it.

    Args:
        graph_module: The network.
        layer: Name of a module whose activation is needed: it stays unchanged.
    """
    modules: dict[Any, nn.Module] = dict(graph_module.named_modules())
    for node in list(graph_module.graph.nodes):
        if layer is not None and layer in (node.target, *(source.target for source in node.all_input_nodes[:1])):
            continue  # the layer, or a batch norm or dropout behind it
        module = modules.get(node.target) if node.op == "call_module" else None
        if isinstance(module, IDENTITIES) or (node.op == "call_function" and _is_idle_dropout(node)):
            node.replace_all_uses_with(node.args[0])
            graph_module.graph.erase_node(node)
        elif type(module) is nn.BatchNorm2d and module.track_running_stats and _follows_convolution(node, modules):
            source = node.args[0]
            folded = _folded(modules[source.target], module)
            modules[source.target] = folded
            graph_module.set_submodule(source.target, folded)
            node.replace_all_uses_with(source)
            graph_module.graph.erase_node(node)
    graph_module.delete_all_unused_submodules()
    graph_module.recompile()
    return freeze(graph_module)


def _folded(convolution: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    """Return one convolution for both; computed in float64, since its rounding is the same for every image."""
    wide = copy.deepcopy(convolution).to("cpu", torch.float64), copy.deepcopy(norm).to("cpu", torch.float64)
    folded: nn.Module = fuse_conv_bn_eval(*wide)  # type: ignore[type-var]
    weight = next(convolution.parameters())
    return folded.to(weight.device, weight.dtype)


def _follows_convolution(node: fx.Node, modules: dict[Any, nn.Module]) -> bool:
    source = node.args[0]
    if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
        return False
    calls = [other for other in source.graph.nodes if other.op == "call_module" and other.target == source.target]
    # No subclass: it may compute its weight, as one of torch.nn.utils.parametrize does, or do more than convolve.
    return type(modules[source.target]) is nn.Conv2d and len(calls) == 1


def _is_idle_dropout(node: fx.Node) -> bool:
    if node.target not in DROPOUTS:
        return False
    place = 3 if node.target is stochastic_depth else 2  # of the argument ``training``
    return node.kwargs.get("training", node.args[place] if len(node.args) > place else True) is False


def without_in_place(graph_module: fx.GraphModule) -> fx.GraphModule:
    """Replace operations in place by those that leave their inputs unchanged, so that activations can be stored."""
    for module in graph_module.modules():
        if "inplace" in vars(module):
            vars(module)["inplace"] = False
    for node in graph_module.graph.nodes:
        if node.op == "call_function":
            node.target = OUT_OF_PLACE.get(node.target, node.target)
        elif node.op == "call_method" and node.target in OUT_OF_PLACE_METHODS:
            node.target = node.target.removesuffix("_")
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
    graph_module.recompile()
    return graph_module


def prepare(module: nn.Module) -> fx.GraphModule:
    """Return a copy of ``module`` in eval mode that computes the same faster.

    Raises:
        CannotTrace: As :func:`trace`.
    """
    return simplify(trace(module))


def simplify(graph_module: fx.GraphModule) -> fx.GraphModule:
    """Apply all changes that make a traced network faster, in place."""
    return to_channels_last(read_one_token(without_in_place(fold(graph_module))))


def to_channels_last(graph_module: fx.GraphModule) -> fx.GraphModule:
    """Convert weights of four axes to channels last, in place.

    ``network.to(memory_format=torch.channels_last)`` raises if a weight has five axes (kernels of three dimensions, the
    masks of timm's Swin transformers).
    """
    for tensor in chain(graph_module.parameters(), graph_module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return graph_module
