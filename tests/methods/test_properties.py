"""Properties on every kind of network: complete maps, one image's alone, and a model that is left unchanged."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods import DeepLift, DeepLiftShap, IntegratedGradients, Method
from pipeline.methods.method import Attribution, image_seeds
from tests.methods.rows import ROWS, case_of
from tests.methods.zoo import ZOO, network, photographs

NETWORK_OF = {
    "Saliency": "vit_b_16",
    "InputXGradient": "convnext_tiny",
    "IntegratedGradients": "regnet",
    "Occlusion": "resnet18",
    "FeatureAblation": "efficientnet_b0",
    "Deconvolution": "mobilenet_v3",
    "GuidedBackprop": "efficientnet_lite0",
    "LayerGradCam": "swin_t",
    "GradCamPlusPlus": "timm",
    "GuidedGradCam": "vgg16",
    "DeepLift": "resnet50",
    "DeepLiftShap": "densenet121",
    "GradientShap": "inception_v3",
    "NoiseTunnel": "hugging_face",
    "Activation": "hugging_face",
    "Conductance": "resnet18",
    "InternalInfluence": "timm",
}
"""Each method on one network and each network with one method; test_oracle.py has all pairs."""
WILD = ("resnet50", "densenet121", "inception_v3", "regnet")
"""With random weights their gradients wander so far along the path, beside a small drop, that completeness would take
thousands of steps; their maps are Captum's, node for node, in test_oracle.py."""
EACH = pytest.mark.parametrize(("method", "name"), NETWORK_OF.items(), ids=NETWORK_OF)


def explain(method: Method, images: Tensor, targets: Tensor, seeds: Tensor) -> tuple[Attribution, Tensor]:
    scores = method.scores(images, targets)
    return method.explain(images, targets, scores=scores, seeds=seeds), scores


def built(method: str, name: str, chunk: int) -> Method:
    return ROWS[method].ours(case_of(name, 1), internal_batch_size=chunk)


@pytest.mark.parametrize("name", ZOO)
def test_deeplift_is_complete(name: str) -> None:
    images, targets, seeds = photographs(*ZOO[name].size)[:1], torch.tensor([[1, 2]]), image_seeds(0, [0])
    for method in (DeepLift(network(name), baselines="blur"), DeepLiftShap(network(name), baselines=["mean", "blur"])):
        attribution, scores = explain(method, images, targets, seeds)
        drops = scores - attribution.baseline_score
        delta = attribution.maps.flatten(2).sum(2) - drops
        torch.testing.assert_close(delta, attribution.convergence_delta, rtol=0, atol=1e-9 * float(drops.abs().max()))
        assert (delta.abs() <= 1e-6 * drops.abs()).all()


@pytest.mark.parametrize("name", [name for name in ZOO if name not in WILD])
def test_integrated_gradients_become_complete(name: str) -> None:
    """Eight times as many steps leave at most half of what was missing, and no more than a fifth of the drop."""
    images, targets, seeds = photographs(*ZOO[name].size)[:1], torch.tensor([[3, 7]]), image_seeds(0, [0])
    missing = []
    for n_steps in (6, 48):
        method = IntegratedGradients(network(name), n_steps=n_steps, quadrature="riemann_middle", baselines="blur")
        attribution, scores = explain(method, images, targets, seeds)
        drops = scores - attribution.baseline_score
        delta = attribution.maps.flatten(2).sum(2) - drops
        torch.testing.assert_close(delta, attribution.convergence_delta, rtol=0, atol=1e-9 * float(drops.abs().max()))
        missing.append(float(delta.abs().max() / drops.abs().max()))
    assert missing[1] < min(0.2, missing[0] / 2)


@EACH
def test_a_map_depends_on_its_image_alone(method: str, name: str) -> None:
    images, targets = photographs(*ZOO[name].size)[:3], torch.tensor([[3], [1], [4]])
    seeds, order = image_seeds(0, [10, 11, 12]), torch.tensor([2, 0])
    whole, _ = explain(built(method, name, 64), images, targets, seeds)
    part, _ = explain(built(method, name, 1), images[order], targets[order], seeds[order])
    largest = whole.maps.abs().max().item()
    total = whole.maps.abs().flatten(2).sum(2).max().item()
    for field, size in (("maps", largest), ("baseline_score", total), ("convergence_delta", total)):
        expected = getattr(whole, field)[order]
        torch.testing.assert_close(getattr(part, field), expected, rtol=0, atol=1e-9 * size, equal_nan=True)


def state_of(model: nn.Module) -> list[object]:
    """All that a caller may rely on."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    modules = [
        (name, id(module), module.training, sorted(vars(module)), [list(vars(module)[hook].items()) for hook in hooks])
        for name, module in model.named_modules()
    ]
    tensors = [
        (name, id(tensor), tensor.requires_grad, tensor.grad, tensor.data_ptr(), tensor.double().sum().item())
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    ]
    return [modules, tensors]


class Broken(Exception):
    """Error of a network."""


@contextmanager
def breaking(layer: nn.Module, at: int) -> Iterator[None]:
    """Raises at a call of a layer."""
    calls = itertools.count(1)

    def count(*_: object) -> None:
        if next(calls) == at:
            raise Broken

    handle = layer.register_forward_pre_hook(count)
    yield
    handle.remove()


@EACH
def test_a_model_is_left_unchanged_also_after_an_error(method: str, name: str) -> None:
    model, images, targets = network(name), photographs(*ZOO[name].size)[:2], torch.tensor([[3], [1]])
    first = next(model.parameters())
    first.requires_grad_(False)
    before, pixels = state_of(model), images.clone()
    explain(built(method, name, 1), images, targets, image_seeds(0, [0, 1]))
    assert state_of(model) == before
    # two calls for the scores; the fourth is the method's own
    with breaking(model.get_submodule(ZOO[name].layer), at=4), pytest.raises(Broken):
        explain(built(method, name, 1), images, targets, image_seeds(0, [0, 1]))
    assert state_of(model) == before
    assert torch.equal(images, pixels) and not images.requires_grad and torch.is_grad_enabled()
    first.requires_grad_(True)


def test_every_method_has_a_network() -> None:
    assert NETWORK_OF.keys() == ROWS.keys()
    assert set(NETWORK_OF.values()) == set(ZOO)
