"""Control maps, which do not depend on the network: a score means something only beside theirs."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

CENTRE = 1 / 4
"""Standard deviation of the blob, as a share of each side."""
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))

ControlMap = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) and their seeds (N,) -> maps (N, H, W), none below 0."""


def random_maps(images: Tensor, seeds: Tensor) -> Tensor:
    """Independent uniform noise in [0, 1) from each image's seed."""
    size = images.shape[2:]
    drawn = [torch.rand(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return torch.stack(drawn).to(images)


def edge_maps(images: Tensor, _seeds: Tensor) -> Tensor:
    """Edge map: magnitude of Sobel's gradient of the mean over channels."""
    across = images.new_tensor(SOBEL)
    kernels = torch.stack((across, across.T))[:, None]
    padded = nn.functional.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return nn.functional.conv2d(padded, kernels).square().sum(1).sqrt()


def centre_maps(images: Tensor, _seeds: Tensor) -> Tensor:
    """Gaussian in the middle of the image."""
    down, across = (
        torch.exp(-0.5 * (((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5) / CENTRE) ** 2)
        for size in images.shape[2:]
    )
    return (down[:, None] * across).to(images).expand(len(images), -1, -1)


CONTROLS: Mapping[str, ControlMap] = {"random": random_maps, "edge": edge_maps, "centre": centre_maps}
"""By name, in the order of all results."""
KINDS = ("map", *CONTROLS)
DESCRIPTIONS = {  # part of a result's identity in evaluate.json: other wording measures again
    "map": "the run's own maps",
    "random": "each pixel drawn by itself from [0, 1)",
    "edge": "magnitude of Sobel's gradient of the image, mean over channels",
    "centre": "a Gaussian in the middle of the image, its standard deviation a quarter of each side",
}


def with_controls(maps: Tensor, images: Tensor, seeds: Tensor) -> Tensor:
    """Stack maps (N, H, W) with their controls, scaled to the magnitude of the map beside them: (4, N, H, W)."""
    magnitudes = total_magnitude(maps)
    kinds = [maps]
    for control in CONTROLS.values():
        values = control(images, seeds).to(maps.dtype)
        own = total_magnitude(values)
        scale = magnitudes / own.clamp_min(1e-30)  # unused where a map is zero, but must not be NaN
        kinds.append(values * torch.where((magnitudes > 0) & (own > 0), scale, 1.0))
    return torch.stack(kinds)


def total_magnitude(maps: Tensor) -> Tensor:
    """Sum of the absolute values of each map (N, H, W): (N, 1, 1)."""
    return maps.abs().sum((1, 2), keepdim=True)
