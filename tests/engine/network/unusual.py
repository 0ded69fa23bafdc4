"""Small networks of the kinds that copying, tracing or folding can get wrong: (3, 16, 16) images -> 4 outputs."""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint


class Base(nn.Module):
    """Convolution, batch norm and ReLU, something in between, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.head = nn.Conv2d(6, 6, 3, stride=2), nn.Linear(6 * 7 * 7, 4)

    def forward(self, images: Tensor) -> Any:
        return self.head(self.second(self.between(F.relu(self.norm(self.first(images))))).flatten(1))

    def between(self, values: Tensor) -> Tensor:
        return values


class NoGradGate(Base):
    def between(self, values: Tensor) -> Tensor:
        with torch.no_grad():
            gate = torch.sigmoid(values - values.mean((1, 2, 3), keepdim=True))
        return values * gate


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(_context: Any, gradients: Tensor) -> Tensor:  # type: ignore[override]
        return gradients


class StraightThrough(Base):
    def between(self, values: Tensor) -> Tensor:
        return Rounded.apply(3 * values) / 3


class DetachedGate(Base):
    def between(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(values).detach()


class DataGate(Base):
    def between(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(values.data)


class OptionalArguments(Base):
    def forward(self, images: Tensor, statistics: Any = None, *others: Any, scale: float | None = None) -> Any:
        if statistics is None and not others:
            images = (images - 0.5) / 0.1
        return super().forward(images if scale is None else images * scale)


class KindOfInput(Base):
    def forward(self, images: Any) -> Any:
        return super().forward(images if isinstance(images, Tensor) else -images)


class KeepsActivation(Base):
    def between(self, values: Tensor) -> Tensor:
        self.activation = values
        return values


class CountsItsRuns(Base):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))

    def between(self, values: Tensor) -> Tensor:
        self.runs += 1
        return values


class WorksOnItsInput(Base):
    def forward(self, images: Tensor) -> Any:
        return super().forward(images.sub_(0.5))


class HoldsLock(Base):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def between(self, values: Tensor) -> Tensor:
        with self.lock:
            return values


class CallsScript(Base):
    def __init__(self) -> None:
        super().__init__()
        self.function = torch.jit.script(_doubled)

    def between(self, values: Tensor) -> Tensor:
        return self.function(values)


def _doubled(values: Tensor) -> Tensor:
    return values * 2


class ThreeDimensions(Base):
    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv3d(1, 1, 3, padding=1)

    def between(self, values: Tensor) -> Tensor:
        return self.deep(values.unsqueeze(1)).squeeze(1)


class ReusesModules(Base):
    def between(self, values: Tensor) -> Tensor:
        return self.norm(F.relu(self.norm(values)))


class Recomputes(Base):
    def between(self, values: Tensor) -> Tensor:
        return checkpoint(torch.tanh, values, use_reentrant=False)


class DropsAlways(Base):
    def between(self, values: Tensor) -> Tensor:
        return F.dropout(values, 0.5, training=True)


class ChecksItsInput(Base):
    def between(self, values: Tensor) -> Tensor:
        assert values.shape[2:] == (16, 16), "of 16 x 16 pixels"
        return values


class ObjectWithLogits(Base):
    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return type("Output", (), {"logits": logits})()


def parametrized(normalise: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    """A network whose convolution before the batch norm has a computed weight."""

    def build() -> nn.Module:
        network = Base()
        network.first = normalise(network.first)
        return network

    return build


def batch_statistics() -> nn.Module:
    network = Base()
    network.norm = nn.BatchNorm2d(6, track_running_stats=False)
    return network


def hooked_weight_norm() -> nn.Module:
    network = Base()
    network.first = nn.utils.weight_norm(network.first)
    return network


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14 * 14, 4)))


COPIED: dict[str, Callable[[], nn.Module]] = {
    "plain": Base,
    "detached gate": DetachedGate,
    "gate of .data": DataGate,
    "optional arguments": OptionalArguments,
    "activation as attribute": KeepsActivation,
    "three dimensions": ThreeDimensions,
    "reused modules": ReusesModules,
    "in place on its input": WorksOnItsInput,
    "spectral norm": parametrized(parametrizations.spectral_norm),
    "recomputes": Recomputes,
    "weight norm": parametrized(parametrizations.weight_norm),
}
"""Have a copy that is equivalent to them."""
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "no_grad gate": (NoGradGate, "its gradients differ"),
    "straight through": (StraightThrough, "its gradients differ"),
    "kind of input": (KindOfInput, "its outputs differ"),
    "counts its runs": (CountsItsRuns, "each evaluation of the network changes its weights or buffers"),
    "lock": (HoldsLock, "TypeError: cannot pickle"),
    "function of TorchScript": (CallsScript, "PickleError"),
    "object with logits": (ObjectWithLogits, "argument of type"),
    "batch statistics": (batch_statistics, "change by .* with the other images of its batch"),
    "scripted": (scripted, "Error"),
}
"""Have none, and the reason that the log gives."""


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """A network in eval mode, float64, with batch norm statistics of noise."""
    torch.manual_seed(0)
    network = build().train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, 3, 16, 16))
    return network.eval().double()
