"""Oracle: the options of Integrated Gradients and occlusion against Captum's; test_oracle.py has the networks."""

import copy
from collections.abc import Callable, Sequence
from functools import cache

import pytest
import torch
from captum import attr
from torch import Tensor, nn

from pipeline.methods import IntegratedGradients, Occlusion, Saliency
from pipeline.methods.quadrature import QUADRATURE_RULES
from pipeline.view import View
from tests.networks import images, resnet18, small_vgg

SIZE = (40, 56)  # height, width: not square, so that a swapped axis shows
TARGETS = {1: 3, 5: torch.tensor([3, 1, 4, 1, 9])}
WINDOWS = {  # window, strides
    "dividing": ((3, 20, 28), (3, 20, 28)),
    "overrunning": ((3, 17, 25), (3, 11, 13)),
    "a channel": ((1, 40, 30), (1, 40, 26)),
}
BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet18,
    "vgg": small_vgg,
}


NETWORKS = pytest.mark.parametrize("name", BUILDERS)
COUNTS = pytest.mark.parametrize("count", TARGETS)


@cache
def network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    return copy.deepcopy(BUILDERS[name]()).to(dtype)


def assert_near(maps: Tensor, expected: Tensor) -> None:
    """To 1e-6 of the maximum: Captum's weights, and all of its occlusion maps, are float32."""
    assert maps.shape == expected.shape
    assert (maps - expected).abs().max() <= 1e-6 * expected.abs().max()


@NETWORKS
@COUNTS
@pytest.mark.parametrize("quadrature", QUADRATURE_RULES)
def test_integrated_gradients(name: str, count: int, quadrature: str) -> None:
    batch, n_steps = images(count, *SIZE), 16 if name == "vgg" else {1: 5, 5: 2}[count]
    captum = attr.IntegratedGradients(network(name))
    expected = captum.attribute(batch, target=TARGETS[count], n_steps=n_steps, method=quadrature)
    if quadrature == "riemann_trapezoid":  # Captum's weights sum to (n - 1) / n
        expected = expected * n_steps / (n_steps - 1)
    maps = IntegratedGradients(network(name), n_steps=n_steps, quadrature=quadrature)(batch, TARGETS[count])
    assert_near(maps, expected)


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
    maps = Occlusion(network("vgg"), sliding_window_shapes=window, strides=strides)(batch, TARGETS[count])
    assert_near(maps, expected)


def test_saliency_with_its_signs() -> None:
    model, batch = network("vgg"), images(5, *SIZE)
    expected = attr.Saliency(model).attribute(batch.clone().requires_grad_(), target=2, abs=False)
    assert_near(Saliency(model, abs=False)(batch, 2), expected)


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
