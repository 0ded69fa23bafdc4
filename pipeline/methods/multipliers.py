"""Finite-difference multipliers of the non-linear functions: what DeepLift puts in the place of their gradients.

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
    """One call of a non-linear function, with a copy of its inputs (n, ...), which the network may write over."""

    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]


@dataclass
class Tape:
    """The calls of one forward pass in order, and those of the reference's pass, known when multipliers are asked.

    Attributes:
        eps: Where input and reference differ by less, the gradient stands in for the ratio of differences.
    """

    eps: float
    calls: list[RecordedCall] = field(default_factory=list)
    reference: list[RecordedCall] = field(default_factory=list)

    def record(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> int:
        """Adds a call and returns its number."""
        self.calls.append(RecordedCall(function, tuple(tensor.detach().clone() for tensor in inputs)))
        return len(self.calls) - 1

    def pair(self, number: int) -> tuple[RecordedCall, RecordedCall]:
        """A call and its reference."""
        return self.calls[number], self.reference[number]

    def refer_to(self, tape: "Tape") -> bool:
        """Takes the other tape's calls as reference, if they are as many and broadcast to these; whether they do."""
        self.reference = tape.calls
        return len(self.calls) == len(tape.calls) and all(
            one.ndim == other.ndim and all(b in (1, a) for a, b in zip(one.shape, other.shape, strict=True))
            for call, clean in zip(self.calls, tape.calls, strict=True)
            for one, other in zip(call.inputs, clean.inputs, strict=True)
        )

    def ratio(self, change: Tensor, of: Tensor, otherwise: Tensor) -> Tensor:
        """``change / of``, and ``otherwise`` where ``of`` is nothing."""
        # 1e-10 is zero in float16; written so that the NaN of inf - inf counts as nothing
        nothing = ~(of.abs() >= max(self.eps, torch.finfo(of.dtype).tiny))
        return torch.where(nothing, otherwise, change / torch.where(nothing, 1, of))


class Rule(torch.autograd.Function):
    """Records the call forward; the rules differ backward."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, function: Callable[..., Any], *inputs: Tensor) -> Tensor:
        ctx.tape, ctx.number = tape, tape.record(function, inputs)
        output: Tensor = function(*inputs)
        return output


class Elementwise(Rule):
    """Rescale rule, (y - y') / (x - x'): Shrikumar et al. 2017 (arXiv 1704.02685), section 3.5.1."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        output, (gradient,) = _gradients(call.function, call.inputs)
        change, of = output - clean.function(*clean.inputs), call.inputs[0] - clean.inputs[0]
        return None, None, multipliers * ctx.tape.ratio(change, of, gradient)


class Quadratic(Rule):
    """Gradient half way between input and reference.

    Exact for products: x*y - x'*y' = (x - x') * (y + y')/2 + (x + x')/2 * (y - y').
    """

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        middles = tuple((one + other) / 2 for one, other in zip(call.inputs, clean.inputs, strict=True))
        return None, None, *_gradients(call.function, middles, multipliers)[1]


class LogSumExp(Rule):
    """log(sum(exp(x))) over the dimension that its function reduces to 1: rescale rule of exp, then of log."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        inputs, reference = call.inputs[0], clean.inputs[0]
        output, output_reference = call.function(inputs), clean.function(reference)
        shift = torch.maximum(output, output_reference)  # the rule does not depend on it, its precision does
        exp, total = (inputs - shift).exp(), (output - shift).exp()
        of_exp = ctx.tape.ratio(exp - (reference - shift).exp(), inputs - reference, exp)
        of_log = ctx.tape.ratio(total - (output_reference - shift).exp(), output - output_reference, total)
        return None, None, multipliers * of_exp / of_log


class MaxPool(Rule):
    """The winner of the larger of y and y' gets the difference: the rule of the DeepLift authors' own code.

    The function also returns the winners' places, numbered along the flattened spatial dimensions: (n, C, windows).
    """

    @staticmethod
    def forward(ctx: Any, tape: Tape, function: Callable[..., Any], *inputs: Tensor) -> Tensor:
        ctx.tape, ctx.number = tape, tape.record(function, inputs)
        output: Tensor = function(*inputs)[0]
        return output

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        inputs = call.inputs[0]
        (output, winners), (output_reference, winners_reference) = call.function(inputs), clean.function(*clean.inputs)
        top, spatial = torch.maximum(output, output_reference), winners.ndim - 1

        def at(places: Tensor, values: Tensor) -> Tensor:
            """Values added up at their places; a place may win in several windows."""
            values, laid = values.flatten(spatial), torch.zeros_like(inputs).flatten(spatial)
            return laid.scatter_add(-1, places.expand_as(values), values).view(inputs.shape)

        change = at(winners, multipliers * (top - output_reference))
        change = change + at(winners_reference, multipliers * (output - top))
        return None, None, ctx.tape.ratio(change, inputs - clean.inputs[0], at(winners, multipliers))


def _gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], multipliers: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The function's value, and its gradients times the multipliers (or 1)."""
    with torch.enable_grad():
        leaves = tuple(tensor.detach().requires_grad_() for tensor in inputs)
        output = function(*leaves)
        seed = torch.ones_like(output) if multipliers is None else multipliers
        return output.detach(), torch.autograd.grad(output, leaves, seed)
