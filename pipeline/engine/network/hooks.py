"""Layers of a network by name, and forward hooks that read, detach or replace a layer's activation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Return name and module of a layer.

    Args:
        model: The network.
        layer: A dotted name such as ``layer3.1.conv2``, or the module itself.

    Raises:
        ValueError: If the network has no such layer; the message lists near names. Or if it is inside TorchScript.
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
    if isinstance(modules[layer], torch.jit.ScriptModule):  # its layers run no hooks
        raise ValueError(f"layer: {layer} is inside TorchScript, which hides it: build the network without torch.jit")
    return layer, modules[layer]


def _near(layer: str, names: Sequence[str]) -> str:
    within = [name for name in names if name.endswith("." + layer)]
    near = (within or get_close_matches(layer, names, n=5))[:5]
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"it has {', '.join(name for name in names if '.' not in name)} and the layers inside them"


@contextmanager
def output_as_leaf(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Make a layer's activation a leaf of the autograd graph, so that the backward pass ends there.

    The network continues with a copy, so that an operation in place leaves the leaf unchanged. Of a tuple, the first
    tensor is the activation.

    Args:
        layer: A module of a network.

    Yields:
        A list to which each run of the layer adds one tensor, which requires a gradient.

    Raises:
        ValueError: While the network runs, if the layer's output is no tensor.
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
    """Replace a layer's activation by ``values``; of a tuple, the first tensor."""

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        copy = values.clone()  # the next layer may work in place
        return (copy, *output[1:]) if isinstance(output, tuple) else copy

    handle = layer.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


class _Reached(Exception):
    """The layer has run: the forward pass can end."""


def forward_until(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Run a network up to a layer and return its activation for images (N, C, H, W); of a tuple, the first tensor.

    Raises:
        ValueError: If the layer does not run, or its output is no tensor.
    """
    activations: list[Tensor] = []

    def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if not isinstance(first, Tensor):
            raise ValueError(f"layer: its output is a {type(first).__name__}, not a tensor")
        activations.append(first)
        raise _Reached

    handle = layer.register_forward_hook(record)
    try:
        model(images)
    except _Reached:
        return activations[0]
    finally:
        handle.remove()
    raise ValueError("layer: it does not run when the network does")


def require_one_run(model: nn.Module, name: str, layer: nn.Module, images: Tensor) -> None:
    """Evaluate a model at images (N, C, H, W) and check that a layer runs once, with one value for each image.

    Raises:
        ValueError: It does not, or its output is no tensor.
    """
    with torch.no_grad(), output_as_leaf(layer) as leaves:
        model(images.clone())
    if len(leaves) != 1:
        raise ValueError(runs_not_once(name, len(leaves)))
    if len(leaves[0]) != len(images):
        raise ValueError(f"layer: {name} cuts the image into pieces; choose the layer around it")


def runs_not_once(layer: str, times: int) -> str:
    """Return the message on a layer that does not run exactly once."""
    return f"layer: {layer} runs {times} times for one image; choose one that runs once"
