"""Small networks of the kinds that matter: residual, plain with max pooling, smooth; and one that records and fails."""

import math

import numpy as np
import torch
import torchvision
from torch import Tensor, nn


def resnet18() -> nn.Module:
    return with_statistics(torchvision.models.resnet18(num_classes=10))


def small_vgg() -> nn.Module:
    """Convolutions and max pooling, no batch norm."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10),
    ).eval()  # fmt: skip


def with_statistics(network: nn.Module, size: int = 64) -> nn.Module:
    """Seeded weights, and batch norm statistics of noise images instead of zeros and ones; in eval mode."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(8, 3, size, size))
    return network.eval()


def images(count: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Smooth coloured noise, (N, 3, H, W), which has structure where white noise has none."""
    generator = torch.Generator().manual_seed(count)
    coarse = torch.randn(count, 3, height // 8, width // 8, generator=generator, dtype=torch.float64)
    fine = torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 0.2 * fine).to(dtype)


class Residual(nn.Module):
    """Convolutions with batch norm, a skip, and operations in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))

    def forward(self, points: Tensor) -> Tensor:
        x = self.stem(points)
        y = self.body(x)
        y += x
        return self.head(nn.functional.relu(y, inplace=True))


def residual() -> nn.Module:
    return with_statistics(Residual())


class Perceptron(nn.Module):
    """F_c(x) = sum_k V_ck tanh(W_k . x + d_k): smooth, with a gradient that a loop can write down."""

    def __init__(self, shape: tuple[int, int, int], hidden: int = 4, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Linear(math.prod(shape), hidden), nn.Linear(hidden, classes, bias=False)
        self.double().eval()

    @property
    def weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W (hidden, values), d (hidden,), V (classes, hidden)."""
        tensors = self.first.weight, self.first.bias, self.last.weight
        first, bias, last = (tensor.detach().numpy() for tensor in tensors)
        return first, bias, last

    def forward(self, points: Tensor) -> Tensor:
        return self.last(self.first(points.flatten(1)).tanh())


class Recording(nn.Module):
    """A network that keeps the number of points of every pass, and the largest that fits."""

    def __init__(self, network: nn.Module, fits: int | None = None) -> None:
        super().__init__()
        self.network, self.fits = network, fits
        self.passes: list[int] = []

    def forward(self, points: Tensor) -> Tensor:
        self.passes.append(len(points))
        if self.fits is not None and len(points) > self.fits:
            raise torch.OutOfMemoryError("this network's own limit")
        return self.network(points)
