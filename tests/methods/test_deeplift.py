"""DeepLift against hand-written propagation, against Captum where it is right, and complete everywhere."""

import copy
from collections.abc import Callable

import pytest
import torch
import torchvision
from captum.attr import DeepLift as CaptumDeepLift
from captum.attr import DeepLiftShap as CaptumDeepLiftShap
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.deeplift import DeepLift, DeepLiftShap
from pipeline.methods.method import Attribution, Method, image_seeds
from pipeline.view import View
from tests.methods.reference import PlusZero
from tests.networks import images, with_statistics

PRECISION = 1e-6


class Calls(nn.Module):
    """Convolution, a function, and a head in which no two units weigh the same."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.convolution, self.function = nn.Conv2d(3, 8, 3, stride=2), function
        self.head = nn.Linear(8, 4)

    def forward(self, points: Tensor) -> Tensor:
        units = self.function(2 * self.convolution(points)).flatten(2)
        ramp = torch.linspace(-1, 2, units.shape[2], dtype=units.dtype)
        return self.head((units * ramp).mean(2))


def network(activation: nn.Module, *between: nn.Module, pool: int = 2) -> nn.Module:
    """Convolutions, an activation, perhaps something else, max pooling; twice."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), activation, *between, nn.MaxPool2d(pool, 2),
        nn.Conv2d(6, 8, 3, padding=1), copy.deepcopy(activation), *between, nn.MaxPool2d(pool, 2),
        nn.Flatten(), nn.LazyLinear(5),
    )  # fmt: skip


def ready(module: nn.Module, size: int = 16) -> nn.Module:
    module = module.double().eval()
    module(images(1, size, size))
    return module


def explain(method: Method, points: Tensor, targets: Tensor) -> tuple[Attribution, Tensor]:
    scores = method.scores(points, targets)
    return method.explain(points, targets, scores=scores, seeds=image_seeds(0, range(len(points)))), scores


def relative_delta(method: Method, points: Tensor) -> float:
    """The largest convergence delta for two targets, as a share of F(x) - F(b)."""
    targets = torch.tensor([[1, 2]]).expand(len(points), -1)
    attribution, scores = explain(method, points, targets)
    delta = attribution.maps.flatten(2).sum(2) - (scores - attribution.baseline_score)
    torch.testing.assert_close(delta, attribution.convergence_delta, rtol=0, atol=1e-12)
    return float((delta.abs() / (scores - attribution.baseline_score).abs()).max())


def assert_near(maps: Tensor, expected: Tensor, precision: float = PRECISION) -> None:
    expected = expected.detach()
    assert expected.abs().max() > 0
    torch.testing.assert_close(maps, expected, rtol=0, atol=precision * float(expected.abs().max()))


def test_rescale_rule_written_out_layer_by_layer() -> None:
    torch.manual_seed(0)
    first, second, third = (torch.randn(shape, dtype=torch.float64) for shape in ((5, 12), (4, 5), (2, 4)))
    layers = [nn.Linear(12, 5, bias=False), nn.Linear(5, 4, bias=False), nn.Linear(4, 2, bias=False)]
    for layer, weight in zip(layers, (first, second, third), strict=True):
        layer.weight = nn.Parameter(weight)
    module = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.Sigmoid(), layers[2])
    points, baselines = torch.randn(2, 3, 3, 2, 2, dtype=torch.float64)
    expected = []
    for point, baseline in zip(points.flatten(1), baselines.flatten(1), strict=True):
        x1, b1 = first @ point, first @ baseline
        y1, z1 = x1.clamp(min=0), b1.clamp(min=0)
        x2, b2 = second @ y1, second @ z1
        y2, z2 = 1 / (1 + (-x2).exp()), 1 / (1 + (-b2).exp())
        multipliers = third[1] * (y2 - z2) / (x2 - b2)
        multipliers = (second.T @ multipliers) * (y1 - z1) / (x1 - b1)
        expected.append((first.T @ multipliers) * (point - baseline))
    maps = DeepLift(module, baselines=baselines)(points, 1)
    assert_near(maps, torch.stack(expected).view_as(points), 1e-12)


def test_max_pooling_written_out_window_by_window() -> None:
    """Overlapping windows, as in the stem of a ResNet."""
    point, baseline = images(2, 16, 16)[:, :1, :7, :7]
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5, 1.5, -1.0, 2.0, 1.0, -0.5], dtype=torch.float64)
    head = nn.Linear(9, 1, bias=False)
    head.weight = nn.Parameter(weights[None])
    expected = torch.zeros(7, 7, dtype=torch.float64)
    for window in range(9):
        top, left = 2 * (window // 3), 2 * (window % 3)
        x, b = (picture[0, top : top + 3, left : left + 3] for picture in (point, baseline))
        winner = divmod(int((x if x.max() > b.max() else b).argmax()), 3)  # all of x.max() - b.max() goes there
        expected[top + winner[0], left + winner[1]] += weights[window] * (x.max() - b.max())
    module = nn.Sequential(nn.MaxPool2d(3, 2), nn.Flatten(), head)
    assert_near(DeepLift(module, baselines=baseline[None])(point[None]), expected[None, None], 1e-12)


ACTIVATIONS = [nn.ReLU(), nn.ELU(), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Tanh(), nn.Softplus()]


@pytest.mark.parametrize("multiply_by_inputs", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda module: type(module).__name__)
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.filterwarnings("ignore:Input Tensor")
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_equals_captum_where_hooks_are_apart(activation: nn.Module, multiply_by_inputs: bool) -> None:
    module, points = ready(network(activation, PlusZero())), images(3, 16, 16)
    baselines, targets = images(5, 16, 16)[:3], torch.tensor([0, 4, 2])
    oracle = CaptumDeepLift(copy.deepcopy(module), multiply_by_inputs=multiply_by_inputs)
    expected = oracle.attribute(points.clone(), baselines, target=targets)
    method = DeepLift(module, baselines=baselines, multiply_by_inputs=multiply_by_inputs)
    assert_near(method(points, targets), expected)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.filterwarnings("ignore:Input Tensor")
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_shap_equals_captum_where_hooks_are_apart() -> None:
    module, points, baselines = ready(network(nn.ReLU(), PlusZero())), images(2, 16, 16), images(3, 16, 16)
    expected = CaptumDeepLiftShap(copy.deepcopy(module)).attribute(points.clone(), baselines, target=3)
    assert_near(DeepLiftShap(module, baselines=baselines)(points, 3), expected)


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


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("output", ["probability", "log_probability"])
def test_complete_for(output: str, multi_label: bool) -> None:
    view = View(Calls(functional.relu).double().eval(), output=output, multi_label=multi_label)
    assert relative_delta(DeepLift(view, baselines="blur"), images(3, 16, 16)) < PRECISION


def test_module_used_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second, self.relu = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)

        def forward(self, points: Tensor) -> Tensor:
            return self.second(self.relu(self.second(self.relu(self.first(points))))).mean((2, 3))

    assert relative_delta(DeepLift(Twice().double().eval()), images(2, 16, 16)) < PRECISION


def test_gradient_where_nothing_differs() -> None:
    """At the baseline itself DeepLift's multipliers are the gradient."""
    module, points = Calls(lambda x: functional.max_pool2d(functional.silu(x), 2)).double().eval(), images(2, 16, 16)
    method = DeepLift(module, baselines=points, multiply_by_inputs=False)
    gradients = View(module).gradients(points, torch.tensor([[1], [1]]))[1][:, 0]
    assert_near(method(points, 1), gradients, 1e-12)


@pytest.mark.parametrize("baselines", [0, "blur"])
def test_does_not_depend_on_batch_or_chunk(baselines: int | str) -> None:
    module = Calls(lambda x: functional.max_pool2d(functional.relu(x), 3, 2).softmax(1)).double().eval()
    points, targets = images(5, 16, 16), torch.tensor([0, 1, 2, 3, 0])
    together = DeepLift(module, baselines=baselines, internal_batch_size=5)(points, targets)
    chunks = DeepLift(module, baselines=baselines, internal_batch_size=2)(points, targets)
    alone = [DeepLift(module, baselines=baselines)(points[i : i + 1], targets[i : i + 1]) for i in range(5)]
    assert_near(chunks, together, 1e-9)
    assert_near(torch.cat(alone), together, 1e-9)


def test_a_prepared_network_has_the_same_maps() -> None:
    """Batch norm folded, nothing in place: other calls, the same rules."""
    module, points = with_statistics(torchvision.models.resnet18(num_classes=4), 32).double(), images(2, 32, 32)
    assert_near(DeepLift(View(module, prepare=True))(points, 1), DeepLift(module)(points, 1), 1e-9)


def test_shap_is_the_mean_of_deeplift() -> None:
    module, points, baselines = Calls(functional.silu).double().eval(), images(3, 16, 16), images(4, 16, 16)
    means = torch.stack([DeepLift(module, baselines=one[None])(points, 1) for one in baselines]).mean(0)
    assert_near(DeepLiftShap(module, baselines=baselines, internal_batch_size=2)(points, 1), means, 1e-12)
    assert relative_delta(DeepLiftShap(module, baselines=["mean", 0.5, "blur"]), points) < PRECISION


@pytest.mark.parametrize("function", [functional.relu, torch.sign], ids=["explained", "refused"])
def test_model_is_left_unchanged(function: Callable[[Tensor], Tensor]) -> None:
    module = nn.Sequential(Calls(function), nn.ReLU(inplace=True)).double().eval()
    state, attributes = copy.deepcopy(module.state_dict()), [set(vars(part)) for part in module.modules()]
    points = images(2, 16, 16)
    before = points.clone()
    try:
        DeepLift(module)(points, 1)
    except ValueError:
        assert function is torch.sign
    assert torch.equal(points, before) and not points.requires_grad
    assert [set(vars(part)) for part in module.modules()] == attributes
    for part in module.modules():
        assert (
            not part.training and not part._forward_hooks and not part._forward_pre_hooks and not part._backward_hooks
        )
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad and parameter.grad is None and torch.equal(parameter, state[name])


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


def test_refuses_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="eps"):
        DeepLift(nn.Identity(), eps=0)
    with pytest.raises(ValueError, match="at least one"):
        DeepLiftShap(nn.Identity(), baselines=[])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", [DeepLift, DeepLiftShap])
def test_half_precision_is_finite_also_where_nothing_differs(method: type[DeepLift], dtype: torch.dtype) -> None:
    """Captum's eps, 1e-10, is zero in float16."""
    module, points = network(nn.ReLU()).eval(), images(2, 16, 16, torch.float32)
    points[:, :, :8] = 0
    module(points)
    baselines = torch.zeros(2, 3, 16, 16) if method is DeepLiftShap else 0
    full = method(module, baselines=baselines)(points, 1)
    half = method(module.to(dtype), baselines=baselines)(points.to(dtype), 1)
    assert half.isfinite().all()
    assert_near(half.float(), full, 0.1)
