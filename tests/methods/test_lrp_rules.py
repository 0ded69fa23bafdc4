"""LRP rules of a layer: their formulas by loops, and conservation."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.methods.lrp_rules import (
    EpsilonRule,
    FlatRule,
    LayerRule,
    LinearLayer,
    PassRule,
    PlusRule,
    StraightThroughRule,
    stabilised,
)

EPSILON = 0.125
GENERATOR = torch.Generator()


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR.manual_seed(seed), dtype=torch.float64)


def propagate(rule: type[LayerRule], inputs: Tensor, weight: Tensor, bias: Tensor | None, relevance: Tensor) -> Tensor:
    """Relevance (n, j) of the inputs of a linear layer, from that of its units (n, k)."""
    leaf = inputs.clone().requires_grad_()
    output = rule.apply(LinearLayer(functional.linear, weight, bias, EPSILON), leaf)
    multipliers = torch.autograd.grad(output, leaf, relevance / output.detach())[0]
    return multipliers if rule is FlatRule else inputs * multipliers


def by_formula(rule: type[LayerRule], inputs: Tensor, weight: Tensor, bias: Tensor, relevance: Tensor) -> Tensor:
    """The same for one image, unit by unit and input by input."""
    result = torch.zeros_like(inputs)
    for k in range(len(weight)):
        terms = inputs * weight[k]
        if rule is EpsilonRule:
            z = terms.sum() + bias[k]
            shares = terms / (z + (EPSILON if z >= 0 else -EPSILON))
        elif rule is PlusRule:
            shares = terms.clamp(min=0) / (terms.clamp(min=0).sum() + bias[k].clamp(min=0))
        else:
            shares = torch.full_like(terms, 1 / len(terms))
        result += shares * relevance[k]
    return result


@pytest.mark.parametrize("rule", [EpsilonRule, PlusRule, FlatRule])
@pytest.mark.parametrize("positive", [True, False])
def test_replica(rule: type[LayerRule], positive: bool) -> None:
    """Inputs of a layer behind a ReLU are positive, those of the first are not."""
    inputs, weight = random(3, 5, seed=0), random(4, 5, seed=1)
    bias, relevance = random(4, seed=2), random(3, 4, seed=3)
    inputs = inputs.abs() if positive else inputs
    propagated = propagate(rule, inputs, weight, bias, relevance)
    for image in range(3):
        expected = by_formula(rule, inputs[image], weight, bias, relevance[image])
        torch.testing.assert_close(propagated[image], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("rule", [PlusRule, FlatRule])
def test_relevance_is_conserved_without_a_bias(rule: type[LayerRule]) -> None:
    relevance = random(3, 4, seed=3)
    propagated = propagate(rule, random(3, 5, seed=0), random(4, 5, seed=1), None, relevance)
    torch.testing.assert_close(propagated.sum(1), relevance.sum(1), rtol=1e-7, atol=1e-8)


def test_the_flat_rule_counts_the_inputs_in_the_receptive_field() -> None:
    """At the border of a padded convolution there are fewer."""
    layer = LinearLayer(
        lambda x, w, b: functional.conv2d(x, w, b, padding=1), random(1, 1, 3, 3, seed=1), None, EPSILON
    )
    leaf = random(1, 1, 4, 4, seed=0).requires_grad_()
    output = FlatRule.apply(layer, leaf)
    relevance = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    relevance[0, 0, 0, 0] = 8.0  # the corner reads 2 x 2 pixels
    (propagated,) = torch.autograd.grad(output, leaf, relevance / output.detach())
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[:2, :2] = 2.0
    torch.testing.assert_close(propagated[0, 0], expected)


def test_the_plus_rule_is_finite_where_no_input_adds_to_a_unit() -> None:
    inputs, weight = torch.ones(1, 3, dtype=torch.float64), -torch.ones(2, 3, dtype=torch.float64)
    assert propagate(PlusRule, inputs, weight, None, torch.ones(1, 2, dtype=torch.float64)).isfinite().all()


def test_relevance_passes_an_activation_unchanged() -> None:
    """Multipliers are multiplied by y / x, so that relevance x * m stays; also where x is 0."""
    leaf = torch.tensor([0.5, 3.0, 0.0, -1.0], dtype=torch.float64).requires_grad_()
    output = PassRule.apply(lambda x: x.clamp(-0.25, 1), leaf)
    relevance = torch.tensor([1.0, 2.0, 0.0, 3.0], dtype=torch.float64)
    multipliers = torch.where(output == 0, 7.0, relevance / output.detach())
    (result,) = torch.autograd.grad(output, leaf, multipliers)
    torch.testing.assert_close(result * leaf.detach(), relevance)
    assert result[2] == 7.0


def test_scaling_passes_relevance_straight_through() -> None:
    leaf = random(2, 3, 1, seed=0).requires_grad_()
    output = StraightThroughRule.apply(lambda x: x * torch.full((2, 3, 4), 5.0), leaf)
    relevance = random(2, 3, 4, seed=1)
    torch.testing.assert_close(torch.autograd.grad(output, leaf, relevance)[0], relevance.sum(2, keepdim=True))


def test_values_are_moved_away_from_zero() -> None:
    assert stabilised(torch.tensor([-1.0, 0.0, 2.0]), 0.5).tolist() == [-1.5, 0.5, 2.5]
