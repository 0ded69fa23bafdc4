"""Oracle: Captum gives the same maps on the same networks, and its float32 maps are no nearer to the float64 map."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from captum import attr
from torch import Tensor, nn

from pipeline.methods import InputXGradient, IntegratedGradients, Occlusion, Saliency
from pipeline.methods.quadrature import RULES
from pipeline.models import demo
from pipeline.view import View
from tests.networks import images, resnet18, small_vgg

SIZE = (40, 56)  # height, width: not square, so that a swapped axis shows
TARGETS = {1: 3, 5: torch.tensor([3, 1, 4, 1, 9])}
FORMS = {"int": 7, "tensor": torch.tensor([3, 1, 4, 1, 9]), "list": [3, 1, 4, 1, 9]}
WINDOWS = {  # window, strides
    "dividing": ((3, 20, 28), (3, 20, 28)),
    "overrunning": ((3, 17, 25), (3, 11, 13)),
    "a channel": ((1, 40, 30), (1, 40, 26)),
}
BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet18,
    "vgg": small_vgg,
    "efficientnet_lite0": lambda: demo.load().module,
}


@dataclass(frozen=True)
class Pair:
    """The same method here and there, of class 2."""

    ours: Callable[[View, Tensor], Tensor]
    captums: Callable[[nn.Module, Tensor], Tensor]


METHODS = {
    "ig": Pair(
        lambda view, batch: IntegratedGradients(view, n_steps=3)(batch, 2),
        lambda model, batch: attr.IntegratedGradients(model).attribute(batch, target=2, n_steps=3),
    ),
    "occlusion": Pair(
        lambda view, batch: Occlusion(view, sliding_window_shapes=(3, 20, 28), strides=(3, 20, 28))(batch, 2),
        lambda model, batch: attr.Occlusion(model).attribute(batch, (3, 20, 28), (3, 20, 28), target=2),
    ),
}
NETWORKS = pytest.mark.parametrize("name", BUILDERS)
COUNTS = pytest.mark.parametrize("count", TARGETS)


@cache
def network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    return copy.deepcopy(BUILDERS[name]()).to(dtype)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """To 1e-6 of the maximum: Captum's weights, and all of its occlusion maps, are float32."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


@NETWORKS
@COUNTS
@pytest.mark.parametrize("quadrature", RULES)
def test_integrated_gradients(name: str, count: int, quadrature: str) -> None:
    batch, n_steps = images(count, *SIZE), 16 if name == "vgg" else {1: 5, 5: 2}[count]
    captum = attr.IntegratedGradients(network(name))
    expected = captum.attribute(batch, target=TARGETS[count], n_steps=n_steps, method=quadrature)
    if quadrature == "riemann_trapezoid":  # Captum's weights sum to (n - 1) / n
        expected = expected * n_steps / (n_steps - 1)
    found = IntegratedGradients(network(name), n_steps=n_steps, quadrature=quadrature)(batch, TARGETS[count])
    assert_near(found, expected)


@NETWORKS
@pytest.mark.parametrize("windows", WINDOWS)
def test_occlusion(name: str, windows: str) -> None:
    (window, strides), batch, target = WINDOWS[windows], images(2, *SIZE), [3, 5]
    captum = attr.Occlusion(network(name))
    expected = captum.attribute(batch, window, strides=strides, target=target, perturbations_per_eval=4)
    assert_near(Occlusion(network(name), sliding_window_shapes=window, strides=strides)(batch, target), expected)


@COUNTS
@pytest.mark.parametrize("strides", [None, 1, 3, (1, 3, 2)])
def test_occlusion_strides(count: int, strides: int | Sequence[int] | None) -> None:
    window, batch = (3, 3, 3), images(count, 16, 24)
    captum = attr.Occlusion(network("vgg"))
    expected = captum.attribute(batch, window, strides=strides, target=TARGETS[count], perturbations_per_eval=64)
    found = Occlusion(network("vgg"), sliding_window_shapes=window, strides=strides)(batch, TARGETS[count])
    assert_near(found, expected)


@NETWORKS
@COUNTS
@pytest.mark.parametrize("absolute", [True, False])
def test_saliency(name: str, count: int, absolute: bool) -> None:
    batch = images(count, *SIZE).requires_grad_()  # Captum warns of other inputs
    expected = attr.Saliency(network(name)).attribute(batch, target=TARGETS[count], abs=absolute)
    assert_near(Saliency(network(name), abs=absolute)(batch.detach(), TARGETS[count]), expected)


@NETWORKS
@COUNTS
def test_input_x_gradient(name: str, count: int) -> None:
    batch = images(count, *SIZE).requires_grad_()
    expected = attr.InputXGradient(network(name)).attribute(batch, target=TARGETS[count])
    assert_near(InputXGradient(network(name))(batch.detach(), TARGETS[count]), expected)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_target(form: str) -> None:
    model, batch, target = network("vgg"), images(5, *SIZE), FORMS[form]
    window = {"sliding_window_shapes": (3, 13, 20), "strides": (3, 9, 9)}
    expected = attr.IntegratedGradients(model).attribute(batch, target=target)
    assert_near(IntegratedGradients(model)(batch, target), expected)
    expected = attr.Occlusion(model).attribute(batch, target=target, **window)
    assert_near(Occlusion(model, **window)(batch, target), expected)
    expected = attr.Saliency(model).attribute(batch.clone().requires_grad_(), target=target)
    assert_near(Saliency(model)(batch, target), expected)


@pytest.mark.parametrize("form", ["number", "one for all", "one each"])
def test_baselines(form: str) -> None:
    model, batch = network("vgg"), images(5, *SIZE)
    baselines = {"number": 0.7, "one for all": images(5, *SIZE)[:1] + 1, "one each": images(5, *SIZE).flip(0)}[form]
    window = {"sliding_window_shapes": (3, 13, 20), "strides": (3, 9, 9)}
    expected = attr.IntegratedGradients(model).attribute(batch, baselines, target=2)
    assert_near(IntegratedGradients(model, baselines=baselines)(batch, 2), expected)
    expected = attr.Occlusion(model).attribute(batch, baselines=baselines, target=2, **window)
    assert_near(Occlusion(model, baselines=baselines, **window)(batch, 2), expected)


def test_the_mean_gradient_alone() -> None:
    model, batch = network("vgg"), images(5, *SIZE)
    expected = attr.IntegratedGradients(model, multiply_by_inputs=False).attribute(batch, target=2)
    assert_near(IntegratedGradients(model, multiply_by_inputs=False)(batch, 2), expected)


@pytest.mark.parametrize("output", ["probability", "log_probability"])
def test_probabilities(output: str) -> None:
    model, batch = network("vgg"), images(5, *SIZE)
    last = nn.Softmax(1) if output == "probability" else nn.LogSoftmax(1)
    expected = attr.IntegratedGradients(nn.Sequential(model, last)).attribute(batch, target=2)
    assert_near(IntegratedGradients(View(model, output=output))(batch, 2), expected)


@NETWORKS
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("prepare", "engine", "slack"), [(False, "dense", 1.5), (True, "dense", 2.5), (True, "auto", 3.5)]
)
def test_float32_is_as_near_as_captum(name: str, method: str, prepare: bool, engine: str, slack: float) -> None:
    """Lower quartile over images of the relative L2 distance to the float64 map.

    Rounding may push a point over a ReLU's kink, ours or Captum's, by chance: a few images are then 1000 times further
    off than the others, and any mean over images compares luck. What is left in the lower quartile is the rounding of
    sums: one order of summation against another, hence 1.5. The prepared network runs in channels_last, where oneDNN's
    convolutions round twice as much (ResNet-18: 1.4e-6 against 7e-7; Captum's do too in that layout), hence 2.5.
    Incremental occlusion takes the difference of two logits that were summed in different orders (EfficientNet-Lite0:
    5.0e-6 against 2.1e-6), hence 3.5.
    """
    pair, exact = METHODS[method], float64_map(name, method)
    ours = pair.ours(View(network(name, torch.float32), prepare=prepare, engine=engine), several())
    distance, captums = (
        ((maps - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).quantile(0.25)
        for maps in (ours, captums_float32_map(name, method))
    )
    assert 0 < distance <= slack * captums < 1e-4


def several() -> Tensor:
    return torch.cat([images(2, *SIZE), images(5, *SIZE)]).float()


@cache
def float64_map(name: str, method: str) -> Tensor:
    return METHODS[method].ours(View(network(name)), several().double())


@cache
def captums_float32_map(name: str, method: str) -> Tensor:
    return METHODS[method].captums(network(name, torch.float32), several())
