"""One blank image through the network, to learn how it is built before any work starts."""

import torch
from torch import Tensor

from pipeline.view import View


def probe(view: View, shape: tuple[int, int, int]) -> Tensor:
    """Logits (1, K) of an image (C, H, W) of zeros, on the network's device, in its dtype."""
    with torch.no_grad():
        return view.logits(blank_image(view, shape))


def blank_image(view: View, shape: tuple[int, int, int]) -> Tensor:
    """Zeros (1, C, H, W) on the network's device, in its dtype."""
    parameters = (parameter for parameter in view.model.parameters() if parameter.is_floating_point())
    return next(parameters, torch.empty(0)).new_zeros(1, *shape)
