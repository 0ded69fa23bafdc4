"""Maps that know nothing of the network: what a score is worth shows beside theirs."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

CENTRE = 1 / 4
"""Standard deviation of the blob, as a share of each side."""
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))

Control = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) and their seeds (N,) -> maps (N, H, W), none below 0."""


def noise(images: Tensor, seeds: Tensor) -> Tensor:
    """Uniform in [0, 1), each pixel by itself, from the image's seed."""
    size = images.shape[2:]
    drawn = [torch.rand(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return torch.stack(drawn).to(images)


def edges(images: Tensor, _seeds: Tensor) -> Tensor:
    """Magnitude of Sobel's gradient of the mean over channels."""
    across = images.new_tensor(SOBEL)
    kernels = torch.stack((across, across.T))[:, None]
    padded = nn.functional.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return nn.functional.conv2d(padded, kernels).square().sum(1).sqrt()


def centre(images: Tensor, _seeds: Tensor) -> Tensor:
    """A Gaussian in the middle."""
    down, across = (
        torch.exp(-0.5 * (((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5) / CENTRE) ** 2)
        for size in images.shape[2:]
    )
    return (down[:, None] * across).to(images).expand(len(images), -1, -1)


CONTROLS: Mapping[str, Control] = {"random": noise, "edge": edges, "centre": centre}
"""By name, in the order in which maps are judged."""
KINDS = ("map", *CONTROLS)
WORDS = {
    "map": "the run's own maps",
    "random": "each pixel drawn by itself from [0, 1)",
    "edge": "magnitude of Sobel's gradient of the image, mean over channels",
    "centre": "a Gaussian in the middle of the image, its standard deviation a quarter of each side",
}


def with_controls(maps: Tensor, images: Tensor, seeds: Tensor) -> Tensor:
    """The maps (N, H, W) and the controls, which get the magnitude of the map beside them: (4, N, H, W)."""
    size = magnitude(maps)
    kinds = [maps]
    for control in CONTROLS.values():
        values = control(images, seeds).to(maps.dtype)
        own = magnitude(values)
        kinds.append(values * torch.where((size > 0) & (own > 0), size / own.clamp_min(1e-30), 1.0))
    return torch.stack(kinds)


def magnitude(maps: Tensor) -> Tensor:
    """Sum of the absolute values of each map (N, H, W): (N, 1, 1)."""
    return maps.abs().sum((1, 2), keepdim=True)
