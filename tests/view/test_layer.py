"""Methods over a layer compared with Captum's layer methods, and the cut that they use."""

import copy
from collections.abc import Callable
from functools import cache

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Units, from_json
from pipeline.engine.network.cut import CutNetwork, GraphCut, HookCut
from pipeline.methods import (
    Activation,
    Conductance,
    DeepLift,
    DeepLiftShap,
    GradientShap,
    InputXGradient,
    IntegratedGradients,
    InternalInfluence,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from pipeline.methods.random_draws import sample_seeds
from pipeline.view import LayerView, View
from tests.methods.test_grad_cam import Twice, near, swin, vit
from tests.networks import Recording, images, residual, resnet18, small_vgg

LAYERS = [
    (resnet18, "layer3.1.conv2"),  # a skip passes it by
    (residual, "stem.1"),  # a batch norm that could be folded away, and a skip
    (residual, "body.0"),
    (small_vgg, "3"),  # an operation in place follows
    (vit, "encoder.layers.encoder_layer_1.ln_1"),
    (swin, "features.1"),
]
EVERY_LAYER = pytest.mark.parametrize(("build", "layer"), LAYERS)
EVERY_PREPARE = pytest.mark.parametrize("prepare", [False, True])
TARGETS = torch.tensor([1, 5])
Build = Callable[[], nn.Module]


built = cache(lambda build: build().double())


def networks_and_image(build: Build) -> tuple[nn.Module, nn.Module, Tensor]:
    """A network, the same with nothing in place (Captum's path in a layer fails on that), and images."""
    network = copy.deepcopy(built(build))
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network, plain, images(2, 32, 32)


def smooth() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.Sigmoid(), nn.Conv2d(6, 4, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(400, 10),
    ).eval()  # fmt: skip


class Untraceable(nn.Module):
    """A small network with a branch that torch.fx cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = small_vgg()[:4], small_vgg()[4:]

    def forward(self, points: Tensor) -> Tensor:
        values = self.first(points)
        return self.second(values if len(points) < 1000 else -values)


@EVERY_PREPARE
@EVERY_LAYER
def test_gradient_oracles(build: Build, layer: str, prepare: bool) -> None:
    network, plain, x = networks_and_image(build)
    view, module = LayerView(network, layer=layer, prepare=prepare), plain.get_submodule(layer)
    activation = captum.attr.LayerActivation(plain, module).attribute(x).detach()
    near(Activation(view)(x, TARGETS), activation, 1e-10)
    product = captum.attr.LayerGradientXActivation(plain, module).attribute(x, TARGETS).detach()
    near(InputXGradient(view)(x, TARGETS), product, 1e-10)
    gradient = captum.attr.LayerGradientXActivation(plain, module, multiply_by_inputs=False).attribute(x, TARGETS)
    near(Saliency(view)(x, TARGETS), gradient.detach().abs(), 1e-10)


@EVERY_PREPARE
@EVERY_LAYER
def test_path_oracles(build: Build, layer: str, prepare: bool) -> None:
    network, plain, x = networks_and_image(build)
    view, module = LayerView(network, layer=layer, prepare=prepare), plain.get_submodule(layer)
    for ours, theirs, quadrature in [
        (IntegratedGradients, captum.attr.LayerIntegratedGradients, "gausslegendre"),
        (InternalInfluence, captum.attr.InternalInfluence, "gausslegendre"),
        (Conductance, captum.attr.LayerConductance, "gausslegendre"),
        (Conductance, captum.attr.LayerConductance, "riemann_trapezoid"),
    ]:
        expected = theirs(plain, module).attribute(x, 0.3, TARGETS, n_steps=5, method=quadrature).detach()
        method = ours(view, n_steps=5, quadrature=quadrature, baselines=0.3, internal_batch_size=4)
        near(method(x, TARGETS), expected, 1e-6)


@EVERY_PREPARE
def test_deeplift_oracle(prepare: bool) -> None:
    """Captum is right if no two non-linearities follow each other and no product of activations occurs."""
    network, plain, x = networks_and_image(smooth)
    for layer in ("0", "2", "4"):
        reference = captum.attr.LayerDeepLift(plain, plain.get_submodule(layer))
        expected = reference.attribute(x, torch.full_like(x, 0.3), TARGETS).detach()
        view = LayerView(network, layer=layer, prepare=prepare)
        near(DeepLift(view, baselines=0.3)(x, TARGETS), expected, 1e-6)
        near(DeepLiftShap(view, baselines=torch.full((2, 3, 32, 32), 0.3))(x, TARGETS), expected, 1e-6)


def test_gradient_shap_is_captums_for_each_of_its_draws() -> None:
    """One draw: the difference of the layer's values, times the gradient there at a place between the images."""
    network, plain, x = networks_and_image(small_vgg)
    method = GradientShap(LayerView(network, layer="3"), baselines=0.3, n_samples=1)
    seeds = torch.tensor([5, 9])
    attribution = method.explain(x, TARGETS[:, None], scores=torch.zeros(2, 1, dtype=x.dtype), seeds=seeds)
    _, alphas = method._choices(method_seeds(seeds))
    start = torch.full_like(x, 0.3)
    points = start + alphas[:, None, None, None] * (x - start)
    gradient = captum.attr.LayerGradientXActivation(plain, plain[3], multiply_by_inputs=False)
    differences = (plain[:4](x) - plain[:4](start)).detach()
    near(attribution.maps[:, 0], gradient.attribute(points, TARGETS).detach() * differences)


def method_seeds(seeds: Tensor) -> Tensor:
    return sample_seeds(seeds, range(1)).flatten()


@pytest.mark.parametrize("layer", ["first.3", "second.5"])
def test_a_network_that_cannot_be_traced_is_cut_by_hooks(layer: str) -> None:
    network, x = Untraceable().double().eval(), images(2, 32, 32)
    assert isinstance(CutNetwork(network, layer, prepare=True).of(x), HookCut)
    traced, same = small_vgg().double(), {"first.3": "3", "second.5": "5"}[layer]
    assert isinstance(CutNetwork(traced, same, prepare=True).of(x), GraphCut)
    for method in (
        lambda view: IntegratedGradients(view, n_steps=3),
        lambda view: Conductance(view, n_steps=3),
        lambda view: DeepLift(view, baselines=0.3),
    ):
        expected = method(LayerView(traced, layer=same))(x, TARGETS)
        near(method(LayerView(network, layer=layer))(x, TARGETS), expected, 1e-10)
    assert not any(module._forward_hooks for module in network.modules())


def test_what_comes_before_the_layer_runs_once_for_an_image() -> None:
    counted = Recording(small_vgg()[:4])
    network, x = nn.Sequential(counted, small_vgg()[4:]).double().eval(), images(2, 32, 32)
    view = LayerView(network, layer="0")
    before = len(counted.passes)
    cut = view._network.of(x)
    made = len(counted.passes) - before
    assert isinstance(cut, GraphCut) and made <= 5  # checked and compared
    IntegratedGradients(view, n_steps=20, internal_batch_size=8)(x, TARGETS)
    # of the whole network for the scores, and of its head for images and baseline; the copy does not count
    assert len(counted.passes) - before - made <= 2


def test_completeness_in_a_layer_that_all_passes_through() -> None:
    network, x = small_vgg().double(), images(2, 32, 32)
    given = {"scores": network(x).detach().gather(1, TARGETS[:, None]), "seeds": torch.zeros(2)}
    for method in (IntegratedGradients, Conductance):
        integrated = method(LayerView(network, layer="3"), n_steps=200, baselines=0.3, quadrature="riemann_trapezoid")
        explained = integrated.explain(x, TARGETS[:, None], **given)
        assert explained.convergence_delta.abs().max() < 5e-3 * given["scores"].abs().max()
        start = network(torch.full_like(x, 0.3)).detach().gather(1, TARGETS[:, None])
        near(explained.baseline_score, start, 1e-10)
    lifted = DeepLift(LayerView(network, layer="3"), baselines=0.3).explain(x, TARGETS[:, None], **given)
    assert lifted.convergence_delta.abs().max() < 1e-10


def test_the_delta_counts_from_where_the_path_begins() -> None:
    network, plain, x = networks_and_image(residual)
    view, targets = LayerView(network, layer="body.0"), TARGETS[:, None]
    scores = network(x).detach().gather(1, targets)
    attribution = IntegratedGradients(view, n_steps=300, baselines=0.3).explain(
        x, targets, scores=scores, seeds=torch.zeros(2)
    )
    assert attribution.convergence_delta.abs().max() < 2e-3 * scores.abs().max()
    _, delta = captum.attr.LayerIntegratedGradients(plain, plain.body[0]).attribute(
        x, 0.3, TARGETS, n_steps=300, return_convergence_delta=True
    )
    assert delta.abs().max() > 2e-2 * scores.abs().max()


def test_maps_do_not_depend_on_batch_or_chunk() -> None:
    network, x, targets = residual().double(), images(3, 32, 32), torch.tensor([1, 7, 3])
    view = LayerView(network, layer="body", prepare=True)
    for method in (IntegratedGradients, Conductance, InternalInfluence):
        whole = method(view, n_steps=5, internal_batch_size=100)(x, targets)
        for size in (1, 4):
            near(method(view, n_steps=5, internal_batch_size=size)(x, targets), whole, 1e-10)
        near(method(view, n_steps=5)(x[[2, 0]], targets[[2, 0]]), whole[[2, 0]], 1e-10)


def test_the_noise_tunnel_wraps_a_layers_method() -> None:
    network, x = small_vgg().double(), images(2, 32, 32)
    view = LayerView(network, layer="3")
    still = NoiseTunnel(InputXGradient(view), stdevs=0.0, nt_samples=3)(x, TARGETS)
    near(still, InputXGradient(view)(x, TARGETS), 1e-10)


def test_it_follows_the_weights() -> None:
    network, x = small_vgg().double(), images(2, 32, 32)
    view = LayerView(network, layer="3", prepare=True)
    before = Activation(view)(x, TARGETS)
    with torch.no_grad():
        network[3].bias += 1
    near(Activation(view)(x, TARGETS), before + 1, 1e-10)


@pytest.mark.parametrize(
    ("network", "layer", "words"),
    [
        (resnet18, "layer3.2.conv2", r"did you mean .*layer3\.1\.conv2"),
        (Twice, "relu", "relu runs 2 times"),
        (swin, "features.1.0.attn.qkv", "runs 0 times"),
    ],
)
def test_a_layer_that_cannot_be_is_refused(network: Build, layer: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Activation(LayerView(network().eval(), layer=layer)).geometry((3, 64, 64))


def test_methods_and_views_that_do_not_fit_are_refused() -> None:
    view = LayerView(small_vgg(), layer="3")
    with pytest.raises(ValueError, match="Occlusion gives maps of the input, not of the layer"):
        Occlusion(view, sliding_window_shapes=(3, 5, 5), strides=(3, 5, 5))
    with pytest.raises(ValueError, match="LayerGradCam gives maps of the input"):
        LayerGradCam(view, layer="3")
    with pytest.raises(ValueError, match="Conductance gives maps of the layer, not of the input"):
        Conductance(View(small_vgg()))


@pytest.mark.parametrize(
    ("layer", "keep", "summed"),
    [
        ((8, 4, 4), (8, 4, 4), (1, 4, 4)),
        ((4, 4, 8), (4, 4, 8), (1, 4, 4)),
        ((17, 6), (17, 6), (1, 4, 4)),
        ((9,), (9,), (9,)),
    ],
)
def test_units(layer: tuple[int, ...], keep: tuple[int, ...], summed: tuple[int, ...]) -> None:
    kept, sums = Units((3, 32, 32), layer), Units((3, 32, 32), layer, "sum")
    assert kept.native_shape == keep and sums.native_shape == summed
    assert from_json(kept.to_json()) == kept
    maps = torch.rand(2, *layer)
    assert kept.reduce(maps).shape == (2, *keep) and sums.reduce(maps).shape == (2, *summed)
    if len(layer) == 1:
        with pytest.raises(ValueError, match="no positions in the image"):
            kept.expand(maps)
        return
    whole = kept.expand(kept.reduce(maps))
    assert whole.shape == (2, 1, 32, 32)
    torch.testing.assert_close(sums.expand(sums.reduce(maps)), whole)
    total = {3: lambda: maps.sum((1, 2, 3)), 2: lambda: maps[:, 1:].sum((1, 2))}[len(layer)]()
    torch.testing.assert_close(whole.sum((1, 2, 3)) / 64, total)
