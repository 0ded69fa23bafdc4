"""Check of autograd graphs: linear operations pass, others are refused by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.linearity import check_linear, check_nodes, graph_nodes, is_linear, operation_name
from pipeline.methods.multipliers import CallTape, ElementwiseRule

WEIGHT = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(0))


def norm(training: bool) -> Callable[[Tensor], Tensor]:
    return nn.BatchNorm2d(3).train(training).requires_grad_(False)


LINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution": lambda x: functional.conv2d(x, WEIGHT),
    "product with a constant": lambda x: x * 3 - x / 2 + 1,
    "matrix product with a constant": lambda x: x @ torch.ones(8, 2),
    "sum and mean": lambda x: x.sum(1) + x.mean(1),
    "average pooling": lambda x: functional.adaptive_avg_pool2d(functional.avg_pool2d(x, 2), 2),
    "batch norm in eval mode": norm(training=False),
    "resizing": lambda x: functional.interpolate(x, (5, 5), mode="bilinear"),
    "shapes": lambda x: torch.cat([x.flatten(1), x.permute(0, 2, 3, 1).reshape(1, -1)], 1)[:, 3:].unflatten(1, (-1, 1)),
    "padding": lambda x: functional.pad(x, (1, 2, 3, 4)),
    "index": lambda x: x[:, torch.tensor([2, 0])],
    "selection": lambda x: torch.where(torch.ones(8, 8) > 0, x, -x),
}
OTHER: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x * x.mean(),
    "bmm": lambda x: x.flatten(1)[..., None] @ x.flatten(1)[:, None],
    "convolution": lambda x: functional.conv2d(x, x[:, :, :3, :3]),
    "div": lambda x: torch.ones(8) / x,
    "relu": torch.relu,
    "pow": lambda x: x**2,
    "max_pool2d_with_indices": lambda x: functional.max_pool2d(x, 2),
    "native_batch_norm": norm(training=True),
    "softmax": lambda x: x.softmax(1),
    "maximum": lambda x: torch.maximum(x, -x),
}


def evaluate(function: Callable[[Tensor], Tensor]) -> Tensor:
    """The output for an input that is not a leaf, as the methods evaluate networks."""
    return function(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_().clone())


@pytest.mark.parametrize("name", LINEAR)
def test_linear_operations_pass(name: str) -> None:
    """An independent road: F(2x) - F(x) = F(x) - F(0)."""
    function, x = LINEAR[name], torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    check_linear(evaluate(function))
    if name in ("batch norm in eval mode", "convolution", "matrix product with a constant"):
        x = x.float()
    step = function(2 * x) - function(x)
    torch.testing.assert_close(step, function(x) - function(torch.zeros_like(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OTHER)
def test_other_operations_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^DeepLift has no rule for {name}\b.*use another method"):
        check_linear(evaluate(OTHER[name]))


def test_a_rule_of_deeplift_passes_and_what_comes_before_it_is_checked() -> None:
    def ruled(x: Tensor) -> Tensor:
        return ElementwiseRule.apply(CallTape(1e-10), torch.tanh, x)

    check_linear(evaluate(ruled))
    with pytest.raises(ValueError, match="DeepLift has no rule for pow"):
        check_linear(evaluate(lambda x: ruled(x**2)))


def test_nodes_are_visited_once_and_not_behind_those_that_end_the_search() -> None:
    x = torch.ones(2).requires_grad_().clone()
    shared = x.sin()
    output = shared.exp() + shared.cos() * 2
    names = [operation_name(node) for node in graph_nodes(output.grad_fn)]
    assert sorted(names) == sorted(["Add", "Exp", "Mul", "Cos", "Sin", "Clone", "AccumulateGrad"])
    ended = graph_nodes(output.grad_fn, through=lambda node: operation_name(node) not in ("Exp", "Cos"))
    assert sorted(map(operation_name, ended)) == sorted(["Add", "Exp", "Mul", "Cos"])


def test_the_method_that_refuses_is_named() -> None:
    with pytest.raises(ValueError, match=r"^LRP has no rule for mul with these inputs"):
        check_nodes(evaluate(lambda x: x * x), is_linear, method="LRP")
