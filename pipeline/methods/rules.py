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

NO_WINNERS = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Call:
    """One call of a non-linear function: its inputs (n, ...), its output and the winners' places.

    Winners are those of max pooling, numbered along the flattened spatial dimensions: (n, C, windows).
    """

    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    output: Tensor
    winners: Tensor
    versions: tuple[int, ...]


@dataclass
class Tape:
    """The calls of one forward pass in order, and those of the reference's pass, which is known when multipliers are asked.

    Attributes:
        eps: Where input and reference differ by less, the gradient stands in for the ratio of differences.
    """

    eps: float
    calls: list[Call] = field(default_factory=list)
    reference: list[Call] = field(default_factory=list)

    def record(
        self, function: Callable[..., Any], inputs: tuple[Tensor, ...], output: Tensor, winners: Tensor = NO_WINNERS
    ) -> int:
        """Adds a call and returns its number."""
        kept = tuple(tensor.detach() for tensor in (*inputs, output))
        self.calls.append(Call(function, kept[:-1], kept[-1], winners, _versions(kept)))
        return len(self.calls) - 1

    def pair(self, number: int) -> tuple[Call, Call]:
        """A call and its reference.

        Raises:
            ValueError: If the network wrote over what the call had read or returned.
        """
        pair = self.calls[number], self.reference[number]
        for call in pair:
            if call.versions != _versions((*call.inputs, call.output)):
                raise ValueError(
                    f"DeepLift: the network changes in place what call {number} of a non-linear function read or returned; "
                    "build it with inplace=False there"
                )
        return pair

    def refer_to(self, tape: "Tape") -> bool:
        """Takes the other tape's calls as reference, if they are as many and broadcast to these; whether they do."""
        self.reference = tape.calls
        return len(self.calls) == len(tape.calls) and all(
            one.ndim == other.ndim and all(b in (1, a) for a, b in zip(one.shape, other.shape, strict=True))
            for call, clean in zip(self.calls, tape.calls, strict=True)
            for one, other in zip((*call.inputs, call.output), (*clean.inputs, clean.output), strict=True)
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
        output = function(*inputs)
        ctx.tape, ctx.number = tape, tape.record(function, inputs, output)
        return output


class Elementwise(Rule):
    """Rescale rule, (y - y') / (x - x'): Shrikumar et al. 2017 (arXiv 1704.02685), section 3.5.1."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        (gradient,) = _gradients(call.function, call.inputs)
        change, of = call.output - clean.output, call.inputs[0] - clean.inputs[0]
        return None, None, multipliers * ctx.tape.ratio(change, of, gradient)


class Quadratic(Rule):
    """Gradient half way between input and reference: exact for products, x*y - x'y' = (x-x')(y+y')/2 + (x+x')(y-y')/2."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        middles = tuple((one + other) / 2 for one, other in zip(call.inputs, clean.inputs, strict=True))
        return None, None, *_gradients(call.function, middles, multipliers)


class LogSumExp(Rule):
    """log(sum(exp(x))) over the dimension that its function reduces to 1: rescale rule of exp and of log, shifted alike."""

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        inputs, reference = call.inputs[0], clean.inputs[0]
        shift = torch.maximum(call.output, clean.output)
        total, total_reference = (call.output - shift).exp(), (clean.output - shift).exp()
        exp, exp_reference = (inputs - shift).exp(), (reference - shift).exp()
        of_exp = ctx.tape.ratio(exp - exp_reference, inputs - reference, exp)
        of_log = ctx.tape.ratio(total - total_reference, call.output - clean.output, total)
        return None, None, multipliers * of_exp / of_log


class MaxPool(Rule):
    """The winner of the larger of y and y' gets the difference: the rule of the DeepLift authors' own code."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, function: Callable[..., tuple[Tensor, Tensor]], *inputs: Tensor) -> Tensor:
        output, winners = function(*inputs)
        ctx.tape, ctx.number = tape, tape.record(function, inputs, output, winners)
        return output

    @staticmethod
    def backward(ctx: Any, multipliers: Tensor) -> tuple[Tensor | None, ...]:
        call, clean = ctx.tape.pair(ctx.number)
        inputs, top = call.inputs[0], torch.maximum(call.output, clean.output)
        spatial = call.winners.ndim - 1

        def at(winners: Tensor, values: Tensor) -> Tensor:
            """Values added up at the places that won; a place may win in several windows."""
            values, laid = values.flatten(spatial), torch.zeros_like(inputs).flatten(spatial)
            return laid.scatter_add(-1, winners.expand_as(values), values).view(inputs.shape)

        change = at(call.winners, multipliers * (top - clean.output)) + at(
            clean.winners, multipliers * (call.output - top)
        )
        return None, None, ctx.tape.ratio(change, inputs - clean.inputs[0], at(call.winners, multipliers))


def _gradients(
    function: Callable[..., Any], inputs: tuple[Tensor, ...], multipliers: Tensor | None = None
) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        leaves = tuple(tensor.detach().requires_grad_() for tensor in inputs)
        output = function(*leaves)
        return torch.autograd.grad(output, leaves, torch.ones_like(output) if multipliers is None else multipliers)


def _versions(tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    """How often each was written to, also through another view of its memory."""
    return tuple(tensor._version for tensor in tensors)
