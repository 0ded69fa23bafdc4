"""DeepLift multipliers: finite differences that take the place of the gradients of non-linear functions.

Each rule is an autograd function whose backward turns the multipliers m of its output into those of its input such that
sum(m_in * (x - x')) = sum(m_out * (y - y')), where x', y' are input and output at the reference (the baseline). Chained
over a network this makes the map complete.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class RecordedCall:
    """One call of a non-linear function, with a copy of its inputs (n, ...): the network may write over them later."""

    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]


@dataclass
class CallTape:
    """Recorded calls of one forward pass in order, and those of the reference's forward pass.

    Attributes:
        eps: Where input and reference differ by less, the gradient replaces the ratio of differences.
        calls: Of the image's forward pass.
        reference: Of the baseline's; needed before the backward pass.
    """

    eps: float
    calls: list[RecordedCall] = field(default_factory=list)
    reference: list[RecordedCall] = field(default_factory=list)

    def record(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> int:
        """Add a call and return its number."""
        self.calls.append(RecordedCall(function, tuple(tensor.detach().clone() for tensor in inputs)))
        return len(self.calls) - 1

    def pair(self, number: int) -> tuple[RecordedCall, RecordedCall]:
        """Return a call and the reference's call of the same number."""
        return self.calls[number], self.reference[number]

    def set_reference(self, tape: "CallTape") -> bool:
        """Take another tape's calls as reference; return whether they are as many and broadcast to these."""
        self.reference = tape.calls
        return len(self.calls) == len(tape.calls) and all(
            inputs.ndim == reference.ndim
            and all(size in (1, own) for own, size in zip(inputs.shape, reference.shape, strict=True))
            for call, reference_call in zip(self.calls, tape.calls, strict=True)
            for inputs, reference in zip(call.inputs, reference_call.inputs, strict=True)
        )

    def ratio(self, change: Tensor, of: Tensor, otherwise: Tensor) -> Tensor:
        """Divide ``change`` by ``of``; ``otherwise`` where ``of`` is below ``eps``."""
        # eps 1e-10 is zero in float16; not written as `<`, for the NaN of inf - inf must count as zero
        is_zero = ~(of.abs() >= max(self.eps, torch.finfo(of.dtype).tiny))
        return torch.where(is_zero, otherwise, change / torch.where(is_zero, 1, of))


class MultiplierRule(torch.autograd.Function):
    """Base of the rules: records the call in the forward pass; the rules differ in the backward pass."""

    @staticmethod
    def forward(ctx: Any, tape: CallTape, function: Callable[..., Any], *inputs: Tensor) -> Tensor:
        ctx.tape, ctx.number = tape, tape.record(function, inputs)
        output: Tensor = function(*inputs)
        return output


class ElementwiseRule(MultiplierRule):
    """Rescale rule, (y - y') / (x - x'): Shrikumar et al. 2017 (arXiv 1704.02685), section 3.5.1."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, reference = ctx.tape.pair(ctx.number)
        output, (gradient,) = _gradients(call.function, call.inputs)
        change, of = output - reference.function(*reference.inputs), call.inputs[0] - reference.inputs[0]
        return None, None, multipliers * ctx.tape.ratio(change, of, gradient)


class QuadraticRule(MultiplierRule):
    """Gradient half way between input and reference.

    Exact for products: x*y - x'*y' = (x - x') * (y + y')/2 + (x + x')/2 * (y - y').
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, reference = ctx.tape.pair(ctx.number)
        midpoints = tuple((one + other) / 2 for one, other in zip(call.inputs, reference.inputs, strict=True))
        return None, None, *_gradients(call.function, midpoints, multipliers)[1]


class LogSumExpRule(MultiplierRule):
    """log(sum(exp(x))) over the dimension that its function reduces to 1: rescale rule of exp, then of log."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, reference = ctx.tape.pair(ctx.number)
        inputs, reference_inputs = call.inputs[0], reference.inputs[0]
        output, reference_output = call.function(inputs), reference.function(reference_inputs)
        shift = torch.maximum(output, reference_output)  # cancels in the ratios; without it exp overflows
        exp, total = (inputs - shift).exp(), (output - shift).exp()
        of_exp = ctx.tape.ratio(exp - (reference_inputs - shift).exp(), inputs - reference_inputs, exp)
        # the multiplier of log is 1 / of_log: of exp(output) as a function of output
        of_log = ctx.tape.ratio(total - (reference_output - shift).exp(), output - reference_output, total)
        return None, None, multipliers * of_exp / of_log


class MaxPoolRule(MultiplierRule):
    """The winner of the larger of y and y' gets the difference: the rule of the DeepLift authors' own code.

    The function also returns the winners' indices into the flattened spatial dimensions: (n, C, windows).
    """

    @staticmethod
    def forward(ctx: Any, tape: CallTape, function: Callable[..., Any], *inputs: Tensor) -> Tensor:
        ctx.tape, ctx.number = tape, tape.record(function, inputs)
        output: Tensor = function(*inputs)[0]
        return output

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, reference = ctx.tape.pair(ctx.number)
        inputs = call.inputs[0]
        output, winners = call.function(inputs)
        reference_output, reference_winners = reference.function(*reference.inputs)
        larger, spatial = torch.maximum(output, reference_output), winners.ndim - 1

        def unpool(indices: Tensor, values: Tensor) -> Tensor:
            """Sum the values at their winners' indices; a unit may win in several windows."""
            values, units = values.flatten(spatial), torch.zeros_like(inputs).flatten(spatial)
            return units.scatter_add(-1, indices.expand_as(values), values).view(inputs.shape)

        change = unpool(winners, multipliers * (larger - reference_output))
        change = change + unpool(reference_winners, multipliers * (output - larger))
        return None, None, ctx.tape.ratio(change, inputs - reference.inputs[0], unpool(winners, multipliers))


def _gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], multipliers: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Evaluate a function and its vector-Jacobian product (VJP) with the multipliers, or with ones."""
    with torch.enable_grad():
        leaves = tuple(tensor.detach().requires_grad_() for tensor in inputs)
        output = function(*leaves)
        vector = torch.ones_like(output) if multipliers is None else multipliers
        return output.detach(), torch.autograd.grad(output, leaves, vector)
