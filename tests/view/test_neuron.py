"""Methods of a hidden neuron compared with Captum's neuron methods."""

from typing import Any

import captum.attr
import pytest
import torch

from pipeline.engine.network.prepared import FastNetwork
from pipeline.engine.network.truncated import TruncatedByHook
from pipeline.methods import (
    Deconvolution,
    DeepLift,
    FeatureAblation,
    GradientShap,
    GuidedBackprop,
    IntegratedGradients,
    Method,
    Occlusion,
    Saliency,
)
from pipeline.view import NeuronView
from tests.methods.test_grad_cam import Twice, near, swin, vit
from tests.networks import Recording, images, residual, resnet18, small_vgg
from tests.view.test_layer import EVERY_PREPARE, Build, Untraceable, networks_and_image, smooth

pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require")  # Captum's
NEURONS = [
    (resnet18, "layer2.1.conv1", [3, 1, 2]),
    (residual, "body.1", [2, 4, 5]),
    (small_vgg, "3", [5, 0, 7]),
    (smooth, "7", [4]),
    (vit, "encoder.layers.encoder_layer_1.ln_1", [3, 2]),
    (swin, "features.1", [1, 3, 2]),
]
SEGMENTS = torch.arange(16).reshape(4, 4).repeat_interleave(8, 0).repeat_interleave(8, 1)


@EVERY_PREPARE
@pytest.mark.parametrize(("build", "layer", "neuron"), NEURONS)
def test_oracles(build: Build, layer: str, neuron: list[int], prepare: bool) -> None:
    network, plain, x = networks_and_image(build)
    view, module = NeuronView(network, layer=layer, neuron=neuron, prepare=prepare), plain.get_submodule(layer)
    gradient = captum.attr.NeuronGradient(plain, module).attribute(x, tuple(neuron))
    near(Saliency(view)(x), gradient.detach().abs(), 1e-10)
    integrated = captum.attr.NeuronIntegratedGradients(plain, module).attribute(x, tuple(neuron), 0.3, n_steps=5)
    near(IntegratedGradients(view, baselines=0.3, n_steps=5)(x), integrated.detach(), 1e-6)
    ablated = captum.attr.NeuronFeatureAblation(plain, module)
    expected = ablated.attribute(x, tuple(neuron), 0.3, feature_mask=SEGMENTS[None, None], perturbations_per_eval=16)
    near(FeatureAblation(view, feature_mask=SEGMENTS, baselines=0.3)(x), expected, 1e-10)


@pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks")  # Captum's
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (DeepLift, captum.attr.NeuronDeepLift, {"baselines": 0.3}),
        (GuidedBackprop, captum.attr.NeuronGuidedBackprop, {}),
        (Deconvolution, captum.attr.NeuronDeconvolution, {}),
    ],
)
def test_oracles_of_methods_with_rules(ours: type[Method], theirs: Any, options: dict[str, float]) -> None:
    network, plain, x = networks_and_image(smooth)
    view = NeuronView(network, layer="4", neuron=[2, 3, 1])
    given = {name: torch.full_like(x, value) for name, value in options.items()}
    near(ours(view, **options)(x), theirs(plain, plain[4]).attribute(x, (2, 3, 1), **given).detach(), 1e-6)


def test_a_null_sums_over_an_axis() -> None:
    network, plain, x = networks_and_image(small_vgg)
    every = slice(None)
    expected = captum.attr.NeuronGradient(plain, plain[3]).attribute(x, (5, every, every))
    near(Saliency(NeuronView(network, layer="3", neuron=[5, None, None]))(x), expected.detach().abs(), 1e-10)


def test_expected_gradients_of_one_baseline_are_nearly_integrated_gradients() -> None:
    network, _, x = networks_and_image(smooth)
    view = NeuronView(network, layer="4", neuron=[2, 3, 1])
    integrated = IntegratedGradients(view, baselines=0.3, n_steps=100)(x)
    drawn = GradientShap(view, baselines=0.3, n_samples=400)(x)
    assert (drawn - integrated).norm() < 0.1 * integrated.norm()


@pytest.mark.parametrize("engine", ["dense", "incremental"])
def test_occlusion_of_a_neuron(engine: str) -> None:
    network, plain, x = networks_and_image(residual)
    view = NeuronView(network, layer="body.1", neuron=[2, 4, 5], engine=engine)
    found = Occlusion(view, sliding_window_shapes=(3, 8, 8), strides=(3, 8, 8))(x)
    reference = captum.attr.Occlusion(lambda points: plain.body(plain.stem(points))[:, 2, 4, 5])
    near(found, reference.attribute(x, (3, 8, 8), (3, 8, 8)).double(), 1e-6)  # Captum's is float32


def test_the_network_runs_no_further_than_the_neuron() -> None:
    rest = Recording(small_vgg()[5:])
    network = torch.nn.Sequential(small_vgg()[:5], rest).double().eval()
    IntegratedGradients(NeuronView(network, layer="0.3", neuron=[5, 0, 7], prepare=True), n_steps=9)(images(2, 32, 32))
    assert rest.passes == []


@pytest.mark.parametrize(("layer", "same"), [("first.3", "3"), ("second.5", "5")])
def test_a_network_that_cannot_be_traced_is_left_at_the_layer(layer: str, same: str) -> None:
    network, x = Untraceable().double().eval(), images(2, 32, 32)
    view = NeuronView(network, layer=layer, neuron=[5, 0, 3], prepare=True)
    assert isinstance(view.model.until_layer, TruncatedByHook)
    expected = NeuronView(small_vgg().double(), layer=same, neuron=[5, 0, 3], prepare=True)
    for method in (Saliency, lambda view: IntegratedGradients(view, n_steps=3), DeepLift, GuidedBackprop):
        near(method(view)(x), method(expected)(x), 1e-10)
    assert not any(module._forward_hooks for module in network.modules())


def test_it_is_prepared_and_follows_the_weights() -> None:
    network, _, x = networks_and_image(residual)
    view = NeuronView(network, layer="body.1", neuron=[2, 4, 5], prepare=True)
    before = view.logits(x)
    assert isinstance(view._fast, FastNetwork) and view._fast.prepared(x) is not None
    with torch.no_grad():
        network.body[1].bias += 1
    torch.testing.assert_close(view.logits(x), before + 1)
    torch.testing.assert_close(view.class_logits(x), network(x).detach())


@pytest.mark.parametrize(
    ("build", "layer", "neuron", "words"),
    [
        (small_vgg, "3", [5, 0], r"\[5, 0\] is no index in the \(16, 16, 16\) values that 3 has for an image"),
        (small_vgg, "3", [16, 0, 0], r"\[16, 0, 0\] is no index in"),
        (small_vgg, "3", "5", "a list of whole numbers"),
        (small_vgg, "3", [1.5, 0, 0], "a list of whole numbers"),
        (small_vgg, "33", [5, 0, 0], "no layer '33'; did you mean 3"),
        (Twice, "relu", [0, 0, 0], "relu runs 2 times"),
    ],
)
def test_a_neuron_that_cannot_be_is_refused(build: Build, layer: str, neuron: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NeuronView(build().eval(), layer=layer, neuron=neuron).probe((3, 32, 32))


def test_a_neuron_has_no_probability() -> None:
    with pytest.raises(ValueError, match="output=probability: a neuron has a value and no probability"):
        NeuronView(small_vgg(), layer="3", neuron=[5, 0, 0], output="probability")
