"""How relevance goes back through a layer: what LRP puts in the place of the gradient.

Each rule is an autograd function that hands back multipliers, relevance / value, instead of gradients: a unit of value
y with multiplier m has the relevance m * y. What LRP does at a ReLU, a max pooling, a sum or a mean (relevance goes to
the inputs in proportion to what they add) is then what the plain gradient does, and these need no rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STABILISER = 1e-10
"""Added to the denominators of the plus rule, which are 0 where no input speaks for a unit."""


@dataclass(frozen=True)
class Layer:
    """A function that is linear in its inputs but for a bias.

    Attributes:
        function: Of inputs (n, ...), weight, and bias or None.
        weight: The layer's own.
        bias: The layer's own.
        epsilon: Of the epsilon rule.
    """

    function: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    epsilon: float

    def __call__(self, inputs: Tensor) -> Tensor:
        """The layer's values, before anything is written over them."""
        return self.function(inputs, self.weight, self.bias)

    def changed(
        self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The values with other inputs and weights, and the transposed layer with these weights."""
        with torch.enable_grad():
            leaf = inputs.detach().requires_grad_()
            output = self.function(leaf, weight, bias)
        return output.detach(), lambda share: torch.autograd.grad(output, leaf, share, retain_graph=True)[0]


class LayerRule(torch.autograd.Function):
    """Runs the layer forward; the rules differ backward."""

    @staticmethod
    def forward(ctx: Any, layer: Layer, inputs: Tensor) -> Tensor:
        ctx.layer, ctx.inputs = layer, inputs.detach().clone()  # the network may write over them
        return layer(inputs)


class Epsilon(LayerRule):
    """R_j = sum_k x_j w_jk / (z_k + eps sign(z_k)) R_k with z_k = sum_j x_j w_jk + b_k.

    Bach et al. 2015, "On Pixel-Wise Explanations" (doi 10.1371/journal.pone.0130140), equation 58; the sign of 0 is 1.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer: Layer = ctx.layer
        output, transposed = layer.changed(ctx.inputs, layer.weight, layer.bias)
        return None, transposed(multipliers * output / stabilised(output, layer.epsilon))


class Plus(LayerRule):
    """R_j = sum_k (x_j w_jk)^+ / (sum_j (x_j w_jk)^+ + b_k^+) R_k: alpha-beta with alpha 1 and beta 0.

    Bach et al. 2015 (see :class:`Epsilon`), equation 60; inputs may be negative.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer, inputs = ctx.layer, ctx.inputs
        bias = None if layer.bias is None else layer.bias.clamp(min=0)
        total, transposed = layer.changed(inputs.clamp(min=0), layer.weight.clamp(min=0), bias)
        negative = (inputs < 0).any()
        if negative:
            of_negative, transposed_negative = layer.changed(inputs.clamp(max=0), layer.weight.clamp(max=0))
            total = total + of_negative
        share = multipliers * layer(inputs) / (total + max(STABILISER, torch.finfo(total.dtype).tiny))
        back = torch.where(inputs > 0, transposed(share), 0)
        return None, torch.where(inputs < 0, transposed_negative(share), back) if negative else back


class Flat(LayerRule):
    """Relevance, not multipliers: a unit's goes in equal parts to the inputs that it sees, whatever they are.

    Lapuschkin et al. 2019, "Unmasking Clever Hans Predictors" (arXiv 1902.10178), section on methods.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer, inputs = ctx.layer, ctx.inputs
        seen, transposed = layer.changed(torch.ones_like(inputs), torch.ones_like(layer.weight))
        return None, transposed(multipliers * layer(inputs) / seen.clamp(min=1))


class Pass(torch.autograd.Function):
    """Relevance passes an activation as it is, so multipliers are times y / x."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        output = function(inputs)
        ctx.factor = torch.where(inputs == 0, 1, output / torch.where(inputs == 0, 1, inputs))
        return output

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        return None, multipliers * ctx.factor


class Keep(torch.autograd.Function):
    """What comes back goes on as it is: for relevance before the first layer, where the image is only scaled."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        ctx.shape = inputs.shape
        return function(inputs)

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[None, Tensor]:
        return None, relevance.sum_to_size(ctx.shape)


def stabilised(values: Tensor, epsilon: float) -> Tensor:
    """Values, away from 0 by epsilon more."""
    return values + torch.where(values < 0, -epsilon, epsilon)
