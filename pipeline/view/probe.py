"""One blank image through the network, to learn how it is built before any work starts."""

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Shape


def blank_image(model: nn.Module, shape: Shape) -> Tensor:
    """Zeros (1, C, H, W) on the network's device, in its dtype."""
    parameters = (parameter for parameter in model.parameters() if parameter.is_floating_point())
    return next(parameters, torch.empty(0)).new_zeros(1, *shape)
