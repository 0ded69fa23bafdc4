"""DeepLift multipliers: every rule is complete, and the gradient where input and reference agree."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.multipliers import (
    CallTape,
    ElementwiseRule,
    LogSumExpRule,
    MaxPoolRule,
    MultiplierRule,
    QuadraticRule,
)

EPS = 1e-10


def pool(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Max pooling with overlapping windows."""
    output, winners = functional.max_pool2d(inputs, 3, 2, return_indices=True)
    return output, winners.flatten(2)


RULES: dict[str, tuple[type[MultiplierRule], Callable[..., object]]] = {
    "relu": (ElementwiseRule, torch.relu),
    "exp": (ElementwiseRule, torch.exp),
    "product": (QuadraticRule, torch.mul),
    "matrix product": (QuadraticRule, torch.matmul),
    "convolution": (QuadraticRule, lambda x, w: functional.conv2d(x, w[:, :2, :3, :3])),
    "log sum exp": (LogSumExpRule, lambda x: x.logsumexp(1, keepdim=True)),
    "max pooling": (MaxPoolRule, pool),
}
EVERY_RULE = pytest.mark.parametrize(("rule", "function"), RULES.values(), ids=RULES)


def inputs_of(rule: type[MultiplierRule], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    count = 2 if rule is QuadraticRule else 1
    return [torch.randn(2, 2, 7, 7, generator=generator, dtype=torch.float64) for _ in range(count)]


def multipliers_of(
    rule: type[MultiplierRule], function: Callable[..., object], inputs: list[Tensor], reference: list[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Output, reference's output, and multipliers of the inputs for random multipliers of the output."""
    tape, reference_tape = CallTape(EPS), CallTape(EPS)
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    output, reference_output = rule.apply(tape, function, *leaves), rule.apply(reference_tape, function, *reference)
    assert tape.set_reference(reference_tape)
    return output.detach(), reference_output, list(torch.autograd.grad(output, leaves, of_output(output)))


def of_output(output: Tensor) -> Tensor:
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(7), dtype=output.dtype)


@EVERY_RULE
def test_complete(rule: type[MultiplierRule], function: Callable[..., object]) -> None:
    """sum(m_in * (x - x')) = sum(m_out * (y - y'))."""
    inputs, reference = inputs_of(rule, 0), inputs_of(rule, 1)
    output, reference_output, multipliers = multipliers_of(rule, function, inputs, reference)
    changes = (of_output(output) * (output - reference_output)).sum()
    parts = zip(multipliers, inputs, reference, strict=True)
    torch.testing.assert_close(sum((m * (x - r)).sum() for m, x, r in parts), changes, rtol=1e-10, atol=1e-10)


@EVERY_RULE
def test_the_gradient_where_input_and_reference_agree(
    rule: type[MultiplierRule], function: Callable[..., object]
) -> None:
    inputs = inputs_of(rule, 0)
    output, _, multipliers = multipliers_of(rule, function, inputs, inputs)
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    plain = function(*leaves)
    gradients = torch.autograd.grad(plain[0] if isinstance(plain, tuple) else plain, leaves, of_output(output))
    for multiplier, gradient in zip(multipliers, gradients, strict=True):
        torch.testing.assert_close(multiplier, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"convolution"}))  # its weight has no batch
def test_a_reference_of_one_row_serves_all(name: str) -> None:
    rule, function = RULES[name]
    inputs, shared = inputs_of(rule, 0), [tensor[:1] for tensor in inputs_of(rule, 1)]
    multipliers = multipliers_of(rule, function, inputs, shared)[2]
    expected = multipliers_of(rule, function, inputs, [tensor.expand(2, -1, -1, -1) for tensor in shared])[2]
    for multiplier, other in zip(multipliers, expected, strict=True):
        torch.testing.assert_close(multiplier, other, rtol=1e-12, atol=1e-12)


def test_the_winner_of_the_larger_maximum_gets_the_difference() -> None:
    """The reference's maximum 7 is larger than 5, so its winner's unit gets 5 - 7, as a share of its own 1 - 7."""
    inputs, reference = (torch.tensor(row).double().reshape(1, 1, 1, 2) for row in ([1.0, 5.0], [7.0, 2.0]))

    def pair(points: Tensor) -> tuple[Tensor, Tensor]:
        output, winners = functional.max_pool2d(points, (1, 2), return_indices=True)
        return output, winners.flatten(2)

    multipliers = multipliers_of(MaxPoolRule, pair, [inputs], [reference])[2][0] / of_output(torch.zeros(1).double())
    torch.testing.assert_close(multipliers.flatten(), torch.tensor([-2 / -6, 0.0]).double())


def test_log_sum_exp_of_large_values_is_finite() -> None:
    inputs, reference = [tensor + 1000 for tensor in inputs_of(LogSumExpRule, 0)], inputs_of(LogSumExpRule, 1)
    multipliers = multipliers_of(*RULES["log sum exp"], inputs, reference)[2][0]
    assert multipliers.isfinite().all()


def test_inputs_that_are_written_over_later_do_not_matter() -> None:
    inputs, tape, reference = torch.tensor([2.0, -3.0]).requires_grad_(), CallTape(EPS), CallTape(EPS)
    copy = inputs.clone()
    output = ElementwiseRule.apply(tape, torch.relu, copy)
    with torch.no_grad():
        copy.fill_(5.0)
    ElementwiseRule.apply(reference, torch.relu, torch.zeros(2))
    assert tape.set_reference(reference)
    assert torch.autograd.grad(output.sum(), inputs)[0].tolist() == [1.0, 0.0]


def test_a_tape_of_other_calls_is_no_reference() -> None:
    def tape(*shapes: tuple[int, ...]) -> CallTape:
        calls = CallTape(EPS)
        for shape in shapes:
            calls.record(torch.relu, (torch.zeros(shape),))
        return calls

    assert tape((3, 4), (3, 5)).set_reference(tape((1, 4), (3, 5)))
    assert not tape((3, 4), (3, 5)).set_reference(tape((1, 4)))
    assert not tape((3, 4)).set_reference(tape((2, 4)))
    assert not tape((3, 4)).set_reference(tape((1, 1, 4)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_ratio_is_the_gradient_below_eps(dtype: torch.dtype) -> None:
    """Also where eps is 0 in the dtype, and for inf - inf."""
    of = torch.tensor([0.0, 1e-11, 2.0, -4.0, torch.nan], dtype=dtype)
    ratio = CallTape(EPS).ratio(torch.full((5,), 6.0, dtype=dtype), of, torch.full((5,), 9.0, dtype=dtype))
    assert ratio[[0, 4]].tolist() == [9.0, 9.0] and ratio[2:4].tolist() == [3.0, -1.5]
    assert dtype == torch.bfloat16 or ratio[1] == 9.0
