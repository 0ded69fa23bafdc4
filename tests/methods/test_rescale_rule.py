"""DeepLift's rule of every function: complete maps through each, and functions without a rule refused by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.deeplift import DeepLift
from pipeline.methods.multipliers import CallTape
from pipeline.methods.rescale_rule import RescaleRuleMode
from tests.methods.deeplift_networks import PRECISION, Calls, relative_delta
from tests.networks import images

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{
        type(module).__name__: module
        for module in (
            nn.ReLU6(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh(), nn.ELU(),
            nn.LeakyReLU(), nn.Softplus(), nn.Mish(), nn.SELU(), nn.CELU(), nn.PReLU().double(), nn.Hardtanh(),
            nn.LogSigmoid(), nn.Tanhshrink(), nn.Softsign(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, 0.2),
            nn.RReLU().eval(), nn.GLU(1), nn.Softmax(1), nn.LogSoftmax(1), nn.Softmin(2), nn.MaxPool2d(3, 1, 1),
            nn.AdaptiveMaxPool2d(3), nn.GroupNorm(2, 8).double(), nn.LayerNorm(7).double(),
        )
    },
    "functional relu": functional.relu,
    "functional relu in place": lambda x: functional.relu(x, inplace=True),
    "method relu_": lambda x: x.relu_(),
    "relu_ whose result is dropped": lambda x: (x.relu_(), x)[1],
    "operator library": torch.ops.aten.relu.default,
    "clamp": lambda x: x.clamp(min=0.1, max=1),
    "power": lambda x: x**3 + 2**x + x.square(),
    "product": lambda x: x * x.mean((2, 3), keepdim=True),
    "product in place": lambda x: x.mul_(x.sigmoid()),
    "gate": lambda x: x * functional.hardsigmoid(x.mean((2, 3), keepdim=True)) * 3,
    "quotient": lambda x: x / (1 + x.abs().sum(1, keepdim=True)) + 1 / (3 + x.cos()),
    "matrix product": lambda x: (x @ x.transpose(2, 3)).softmax(-1) @ x,
    "attention": lambda x: functional.scaled_dot_product_attention(x, 2 * x, x.flip(3)),
    "einsum": lambda x: torch.einsum("nchw,ncvw->nchv", x, x.tanh()),
    "global log sum exp": lambda x: x.flatten(2).logsumexp(2)[..., None],
    "input written over later": lambda x: (functional.silu(x), x.add_(1))[0],
    "addition to a result in place": lambda x: functional.gelu(x).add_(x),
    "constant factors and shapes": lambda x: torch.ones_like(x) * x.relu() / x.shape[1] + x.new_zeros(1),
    "batch folded into another dimension": lambda x: x.flatten(0, 1).sigmoid().unflatten(0, x.shape[:2]),
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_complete_through(function: Callable[[Tensor], Tensor]) -> None:
    module = Calls(function).double().eval()
    if isinstance(function, nn.GLU):
        module.head = nn.Linear(4, 4).double()
    assert relative_delta(DeepLift(module), images(3, 16, 16)) < PRECISION


def test_module_used_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)

        def forward(self, points: Tensor) -> Tensor:
            return self.second(self.relu(self.second(self.relu(self.first(points))))).mean((2, 3))

    assert relative_delta(DeepLift(Twice().double().eval()), images(2, 16, 16)) < PRECISION


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, points: Tensor) -> Tensor:
        return points * points.sigmoid()

    @staticmethod
    def backward(ctx: object, gradients: Tensor) -> Tensor:
        return gradients


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": torch.sign,
    "maximum": lambda x: torch.maximum(x, -x),
    "sort": lambda x: x.sort(1)[0],
    "clamp": lambda x: x.clamp(min=x.mean()),
    "max_pool2d_with_indices": lambda x: functional.max_pool2d(x, 2, return_indices=True)[0],
    "instance|batch_norm": functional.instance_norm,
    "swish": Swish.apply,
    "mul": lambda x: torch.mul(input=x, other=x),
    "gt": lambda x: x * (x > 0),
    "item": lambda x: x * x.mean().item(),
    "detach": lambda x: x.relu().detach() + x,
}


@pytest.mark.parametrize("operation", REFUSED)
def test_refuses_by_name(operation: str) -> None:
    module = Calls(REFUSED[operation]).double().eval()
    with pytest.raises(ValueError, match=rf"DeepLift.*({operation})"):
        DeepLift(module)(images(2, 16, 16), 1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning", "ignore:.*torch.jit.trace:DeprecationWarning")
def test_refuses_torchscript() -> None:
    class Scripted(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            return points.sigmoid()

    with torch.no_grad():
        scripted = torch.jit.trace(Scripted(), torch.zeros(1, 8, 7, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="sigmoid"):
        DeepLift(Calls(scripted).double().eval())(images(2, 16, 16), 1)


RULE_OF_CALL: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "activation": (torch.relu, "ElementwiseRule"),
    "function in place": (torch.relu_, "Copy"),  # of the rule's output
    "method": (lambda x: x.sigmoid(), "ElementwiseRule"),
    "operator library": (torch.ops.aten.tanh.default, "ElementwiseRule"),
    "power": (lambda x: x**3, "ElementwiseRule"),
    "number over tensor": (lambda x: 1 / x, "Mul"),  # of the reciprocal, which follows the rule
    "product of two": (lambda x: x * x, "QuadraticRule"),
    "matrix product of two": (lambda x: x @ x, "QuadraticRule"),
    "convolution with a weight that depends on the image": (
        lambda x: functional.conv2d(x[None, None], x[None, None, :2, :2]),
        "QuadraticRule",
    ),
    "max pooling": (lambda x: functional.max_pool2d(x[None], 2), "MaxPoolRule"),
    "adaptive max pooling": (lambda x: functional.adaptive_max_pool2d(x[None], 2), "MaxPoolRule"),
    "log sum exp": (lambda x: x.logsumexp(1, keepdim=True), "LogSumExpRule"),
    "product with a constant": (lambda x: x * torch.ones(4), "Mul"),
    "power with an exponent that depends on the image": (lambda x: 2 * x.abs() ** x, "Mul"),
    "maximum of two": (lambda x: torch.maximum(x, -x), "Maximum"),
}


@pytest.mark.parametrize(("function", "node"), RULE_OF_CALL.values(), ids=RULE_OF_CALL)
def test_rule_of_a_call(function: Callable[[Tensor], Tensor], node: str) -> None:
    """Read off the autograd node of the output; one of PyTorch's own where no rule of DeepLift applies."""
    x = torch.linspace(0.1, 1, 16).reshape(4, 4).requires_grad_().clone()
    with RescaleRuleMode(CallTape(1e-10)):
        output = function(x)
    assert type(output.grad_fn).__name__.startswith(f"{node}Backward")
