"""Captum's maps of any network of the zoo, with the network written so that Captum 0.9 explains it rightly."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.gradient import compute_layer_gradients_and_eval
from captum.attr._core import deep_lift
from torch import Tensor, fx, nn
from torch.nn import functional

from pipeline.methods.method import image_seeds
from pipeline.methods.random_draws import normal_noise, sample_seeds
from tests.methods.zoo import Kind


class Logits(nn.Module):
    """The logits of a network that returns an object: Captum needs a tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: Tensor) -> Tensor:
        return self.network(points).logits


class PlusZero(nn.Module):
    """Separates Captum's hooks on its two sides."""

    def forward(self, points: Tensor) -> Tensor:
        return points + 0


class Clipped(nn.ReLU):
    """ReLU6 as a subclass of ReLU: Captum's rules look for ReLU only."""

    def forward(self, points: Tensor) -> Tensor:
        return points.clamp(0, 6)


class Windows(nn.Module):
    """Max pooling whose windows lie side by side: where they overlap, Captum keeps one of the contributions."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.pool = nn.MaxPool2d((1, kernel * kernel))

    def forward(self, points: Tensor) -> Tensor:
        lowest = -1.0  # it follows a ReLU, so that padding never wins; Captum makes NaN of infinity
        padded = functional.pad(points, [self.padding] * 4, value=lowest)
        windows = padded.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride)
        rows = windows.flatten(4).flatten(2, 3)
        return self.pool(rows).unflatten(2, windows.shape[2:4]).squeeze(4)


def apart(module: nn.Module) -> nn.Module | None:
    """A module of its own for one call of a non-linearity that Captum knows; None for any other module."""
    match module:
        case nn.ReLU6():
            return nn.Sequential(Clipped(), PlusZero())
        case nn.ReLU():
            return nn.Sequential(nn.ReLU(), PlusZero())
        case nn.MaxPool2d(kernel_size=int(kernel), stride=int(stride), padding=int(padding), ceil_mode=False):
            return nn.Sequential(Windows(kernel, stride, padding), PlusZero())
    return None


def spelled(model: nn.Module) -> nn.Module:
    """A copy in which every ReLU, ReLU6 and max pooling, also of a function, is a module that runs once."""
    try:
        graph = fx.symbolic_trace(copy.deepcopy(model))
    except fx.proxy.TraceError:  # transformers: its modules run once
        return _spelled_by_modules(copy.deepcopy(model))
    modules = dict(graph.named_modules())
    for number, node in enumerate(list(graph.graph.nodes)):
        replacement = _of_node(node, modules)
        if replacement is not None:
            graph.add_submodule(f"apart{number}", replacement.eval())
            node.op, node.target, node.args, node.kwargs = "call_module", f"apart{number}", node.args[:1], {}
    graph.recompile()
    return graph


def _of_node(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    if node.op == "call_module":
        return apart(modules[node.target])
    if node.target in (functional.relu, torch.relu, torch.relu_, "relu", "relu_"):
        return apart(nn.ReLU())
    if node.target is functional.max_pool2d:
        return apart(nn.MaxPool2d(**{"stride": None, "padding": 0, **_pooling(node)}))
    return None


def _pooling(node: fx.Node) -> dict[str, object]:
    names = ("kernel_size", "stride", "padding")
    given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    return {name: given[name] for name in names if given.get(name) is not None}


def _spelled_by_modules(model: nn.Module) -> nn.Module:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            replacement = apart(child)
            if replacement is not None:
                setattr(parent, name, replacement.eval())
    return model


@contextmanager
def rule_for_clipped() -> Iterator[None]:
    """Captum's own rescale rule for ReLU6."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(deep_lift.SUPPORTED_NON_LINEAR, Clipped, deep_lift.nonlinear)
        yield


def cam(model: nn.Module, kind: Kind, layer: nn.Module, batch: Tensor, target: Tensor) -> Tensor:
    """Captum's Grad-CAM; for tokens, which it does not arrange in the image, the formula on Captum's gradients."""
    if kind.places is None:
        return captum.attr.LayerGradCam(model, layer).attribute(batch, target).detach()
    gradients, values = at(model, kind, layer, batch, target)
    return (gradients.mean((2, 3), keepdim=True) * values).sum(1, keepdim=True)


def cam_plus_plus(model: nn.Module, kind: Kind, layer: nn.Module, batch: Tensor, target: Tensor) -> Tensor:
    """Equations 5 and 19 of arXiv 1710.11063, literally, on Captum's gradients."""
    gradients, values = at(model, kind, layer, batch, target)
    below = 2 * gradients**2 + values.sum((2, 3), keepdim=True) * gradients**3
    alphas = torch.where(gradients == 0, 0.0, gradients**2 / torch.where(gradients == 0, 1.0, below))
    weights = (alphas * gradients.relu()).sum((2, 3), keepdim=True)
    return (weights * values).sum(1, keepdim=True)


def at(model: nn.Module, kind: Kind, layer: nn.Module, batch: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's gradients and values, (N, K, h, w)."""
    (gradient,), (value,) = compute_layer_gradients_and_eval(model, layer, batch, target)
    places = kind.places or nn.Identity()
    return places(gradient.detach()), places(value.detach())


def gradient_shap(model: nn.Module, batch: Tensor, target: Tensor, **options: object) -> Tensor:
    """Captum's GradientShap with the draws of this project."""
    members, count = len(options["baselines"]), options["n_samples"]  # type: ignore[arg-type]
    seeds = sample_seeds(image_seeds(0, range(len(batch))), range(2 * count))  # type: ignore[arg-type]
    generators = [torch.Generator().manual_seed(int(seed)) for row in seeds for seed in row[:count]]
    drawn = [torch.randint(members, (), generator=generator).item() for generator in generators]
    alphas = [torch.rand((), generator=generator).item() for generator in generators]
    noise = torch.stack(
        [normal_noise(batch[i : i + 1], seed[None])[0] for i, row in enumerate(seeds) for seed in row[count:]]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "choice", lambda *_, **__: np.array(drawn))
        patch.setattr(np.random, "uniform", lambda *_, **__: np.array(alphas))
        patch.setattr(torch, "normal", lambda mean, std: std * noise)
        return captum.attr.GradientShap(model).attribute(batch, target=target, **options)


def noise_tunnel(model: nn.Module, batch: Tensor, target: Tensor, **options: object) -> Tensor:
    """Captum's NoiseTunnel around Saliency with the draws of this project."""
    count = options["nt_samples"]
    seeds = sample_seeds(image_seeds(0, range(len(batch))), range(count))  # type: ignore[arg-type]
    noise = torch.stack([normal_noise(batch[i : i + 1], seed[None])[0] for i, row in enumerate(seeds) for seed in row])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "normal", lambda mean, std: std * noise)
        return captum.attr.NoiseTunnel(captum.attr.Saliency(model)).attribute(batch, target=target, **options)
