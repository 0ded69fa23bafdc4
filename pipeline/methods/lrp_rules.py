"""LRP rules of a layer: backward passes that propagate relevance in the place of gradients.

Each rule is an autograd function whose backward pass propagates multipliers, relevance / value, instead of gradients: a
unit of value y with multiplier m has the relevance m * y. At a ReLU, a max pooling, a sum or a mean, where relevance
goes to the inputs in proportion to what they add, the plain gradient does just that: these need no rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STABILISER = 1e-10
"""Added to the denominators of the plus rule, which are 0 where no input adds to a unit."""


@dataclass(frozen=True)
class LinearLayer:
    """Layer that is linear in its inputs but for a bias: convolution, linear, batch norm.

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
        """Evaluate the layer."""
        return self.function(inputs, self.weight, self.bias)

    def with_weights(
        self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Evaluate the layer with other weights; return its output and its vector-Jacobian product (VJP)."""
        with torch.enable_grad():
            leaf = inputs.detach().requires_grad_()
            output = self.function(leaf, weight, bias)
        return output.detach(), lambda vector: torch.autograd.grad(output, leaf, vector, retain_graph=True)[0]


class LayerRule(torch.autograd.Function):
    """Base of the rules: evaluates the layer in the forward pass; the rules differ in the backward pass."""

    @staticmethod
    def forward(ctx: Any, layer: LinearLayer, inputs: Tensor) -> Tensor:
        ctx.layer, ctx.inputs = layer, inputs.detach().clone()  # the network may write over them
        return layer(inputs)


class EpsilonRule(LayerRule):
    """R_j = sum_k x_j w_jk / (z_k + eps sign(z_k)) R_k with z_k = sum_j x_j w_jk + b_k.

    Bach et al. 2015, "On Pixel-Wise Explanations" (doi 10.1371/journal.pone.0130140), equation 58; the sign of 0 is 1.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer: LinearLayer = ctx.layer
        output, vjp = layer.with_weights(ctx.inputs, layer.weight, layer.bias)
        return None, vjp(multipliers * output / stabilised(output, layer.epsilon))


class PlusRule(LayerRule):
    """R_j = sum_k (x_j w_jk)^+ / (sum_j (x_j w_jk)^+ + b_k^+) R_k: z+, or alpha-beta with alpha 1 and beta 0.

    Bach et al. 2015 (see :class:`EpsilonRule`), equation 60; inputs may be negative.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer, inputs = ctx.layer, ctx.inputs
        bias = None if layer.bias is None else layer.bias.clamp(min=0)
        # (x w)^+ is x^+ w^+ + x^- w^-: the second layer is evaluated only if there is a negative input
        total, vjp = layer.with_weights(inputs.clamp(min=0), layer.weight.clamp(min=0), bias)
        negative = (inputs < 0).any()
        if negative:
            of_negative, vjp_negative = layer.with_weights(inputs.clamp(max=0), layer.weight.clamp(max=0))
            total = total + of_negative
        share = multipliers * layer(inputs) / (total + max(STABILISER, torch.finfo(total.dtype).tiny))
        backward = torch.where(inputs > 0, vjp(share), 0)
        return None, torch.where(inputs < 0, vjp_negative(share), backward) if negative else backward


class FlatRule(LayerRule):
    """Relevance, not multipliers: a unit's is divided equally among the inputs in its receptive field.

    Lapuschkin et al. 2019, "Unmasking Clever Hans Predictors" (arXiv 1902.10178), section on methods.
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        layer, inputs = ctx.layer, ctx.inputs
        counts, vjp = layer.with_weights(torch.ones_like(inputs), torch.ones_like(layer.weight))  # inputs of each unit
        return None, vjp(multipliers * layer(inputs) / counts.clamp(min=1))


class PassRule(torch.autograd.Function):
    """Relevance passes an activation unchanged, so multipliers are multiplied by y / x."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        output = function(inputs)
        ctx.factor = torch.where(inputs == 0, 1, output / torch.where(inputs == 0, 1, inputs))
        return output

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[None, Tensor]:
        return None, multipliers * ctx.factor


class StraightThroughRule(torch.autograd.Function):
    """Relevance passes unchanged (straight-through): before the first layer, where the image is only scaled."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        ctx.shape = inputs.shape
        return function(inputs)

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[None, Tensor]:
        return None, relevance.sum_to_size(ctx.shape)  # undoes broadcasting against a constant


def stabilised(values: Tensor, epsilon: float) -> Tensor:
    """Move values away from 0 by epsilon; the sign of 0 is 1."""
    return values + torch.where(values < 0, -epsilon, epsilon)
