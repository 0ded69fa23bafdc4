"""DeepLift against hand-written propagation, against Captum where it is right, and complete for every output."""

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
from pipeline.view import View
from tests.methods.deeplift_networks import PRECISION, Calls, assert_near, network, ready, relative_delta
from tests.methods.reference import PlusZero
from tests.networks import images, with_statistics


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


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("output", ["probability", "log_probability"])
def test_complete_for(output: str, multi_label: bool) -> None:
    view = View(Calls(functional.relu).double().eval(), output=output, multi_label=multi_label)
    assert relative_delta(DeepLift(view, baselines="blur"), images(3, 16, 16)) < PRECISION


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
