"""A network that takes no time, for scripts that test the pipeline around it."""

from torch import nn


def build() -> nn.Module:
    """(N, 3, H, W) -> (N, 1000), with the weights of a fixed seed."""
    layers = [nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 1000))


OPTIONS = [
    "model=checkpoint", "model.weights=null", "model.factory=tiny:build", "model.allow=[tiny]", "device=cpu",
    "method=saliency", "data.transform.resize=32", "data.transform.crop=32", "report.images=false",
]  # fmt: skip
"""A command line that explains photographs with it."""
