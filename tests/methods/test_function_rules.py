"""Rules of functions: which calls follow one, in place or not, and values that leave the graph unseen."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.function_rules import FunctionRuleMode, depends_on_input, function_of_inputs


class NegatedReLU(FunctionRuleMode):
    """Gives ReLU another value, so that a call that follows the rule shows."""

    method: ClassVar[str] = "Test"
    ruled_functions: ClassVar[frozenset[str]] = frozenset(("relu", "mul", "imul"))

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, bool]] = []

    def apply_rule(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> Any:
        self.calls.append((name, in_place))
        return -(args[0].clamp(min=0))


def points() -> Tensor:
    return torch.tensor([[-1.0, 2.0], [3.0, -4.0]]).requires_grad_().clone()


EXPECTED = torch.tensor([[-0.0, -2.0], [-3.0, -0.0]])
WAYS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "function": (torch.relu, False),
    "functional": (functional.relu, False),
    "keyword": (lambda x: functional.relu(input=x), False),
    "method": (lambda x: x.relu(), False),
    "module": (nn.ReLU(), False),
    "operator library": (torch.ops.aten.relu.default, False),
    "function in place": (torch.relu_, True),
    "method in place": (lambda x: x.relu_(), True),
    "module in place": (nn.ReLU(inplace=True), True),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_call_a_function_follows_the_rule(way: str) -> None:
    function, in_place = WAYS[way]
    inputs = points()
    with NegatedReLU() as mode:
        output = function(inputs)
    assert mode.calls == [("relu", in_place)]
    assert torch.equal(output, EXPECTED) and output.requires_grad
    assert (output is inputs) == in_place and torch.equal(inputs, EXPECTED if in_place else points())


def test_an_operator_in_place_follows_the_rule() -> None:
    inputs = points()
    with NegatedReLU() as mode:
        inputs *= 2
    assert mode.calls in ([("mul", True)], [("imul", True)])  # named mul_ or __imul__ by the release of PyTorch
    assert torch.equal(inputs, EXPECTED)


def test_calls_on_constants_and_parameters_pass() -> None:
    parameter, inputs = nn.Parameter(torch.tensor([-1.0, 2.0])), points()
    with NegatedReLU() as mode:
        assert torch.relu(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
        assert torch.relu(parameter).tolist() == [0.0, 2.0]
        output = inputs + parameter  # no rule: passes, with the parameter as a constant
    assert not mode.calls
    (gradient,) = torch.autograd.grad(output.sum(), parameter, allow_unused=True)
    assert gradient is None


HIDDEN: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "gt": lambda x: x > 0,
    "detach": lambda x: x.detach(),
    "bool": lambda x: 1 if x.sum() else 0,
    "argmax": lambda x: x.argmax(),
    "tolist": lambda x: x.tolist(),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_values_that_leave_the_graph_are_refused_by_name(name: str) -> None:
    inputs = points()
    with pytest.raises(ValueError, match=rf"^Test has no rule for {name}\b.*use another method"), NegatedReLU():
        HIDDEN[name](inputs)


def test_shapes_may_leave_the_graph() -> None:
    inputs = points()
    with NegatedReLU():
        assert inputs.shape[0] == inputs.size(1) == 2 and len(inputs) == 2
        assert torch.zeros_like(inputs).sum() == 0 and inputs.new_ones(3).sum() == 3


def test_a_call_as_a_function_of_its_inputs_does_not_write_over_them() -> None:
    inputs = torch.tensor([-1.0, 2.0])
    function = function_of_inputs(torch.clamp_, (None,), [0], {"min": 0.5}, in_place=True)
    assert function(inputs).tolist() == [0.5, 2.0] and inputs.tolist() == [-1.0, 2.0]
    second = function_of_inputs(torch.sub, (torch.tensor(5.0), None), [1], {"alpha": 2}, in_place=False)
    assert second(torch.tensor(1.0)) == 3.0


def test_dependence_is_found_in_lists() -> None:
    assert depends_on_input([1, (torch.ones(1), points())])
    assert not depends_on_input([1, torch.ones(1), "text", None])
