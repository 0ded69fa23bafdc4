"""LRP: zennit's maps, conservation, other ways to write the same network, and what is refused."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlusFlat, LayerMapComposite
from zennit.layer import Sum
from zennit.rules import Epsilon, Norm, Pass
from zennit.torchvision import ResNetCanonizer, VGGCanonizer
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from pipeline.methods import LRP, InputXGradient, NoiseTunnel
from tests.networks import images, residual, resnet18, small_vgg, with_statistics

COMPOSITES = pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon"])


def near(maps, expected, share=1e-9):
    torch.testing.assert_close(maps, expected, rtol=0, atol=share * expected.abs().max().item())


def vgg16():
    """Its convolutions, with a smaller head: the 120 million weights there would take seconds to draw."""
    torch.manual_seed(0)
    head = nn.Linear(512 * 7 * 7, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 10)
    with torch.device("meta"):
        network = torchvision.models.vgg16(init_weights=False)
    network.features, network.classifier = (
        torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"]),
        nn.Sequential(*head),
    )
    return network.eval()


def bottleneck():
    torch.manual_seed(0)
    return with_statistics(torchvision.models.resnet.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], 10))


def in_zennit(network, canonizer, composite, x, targets, epsilon=1e-6):
    """Its merged batch norm still divides by sqrt(1 + eps), so the network's eps must be 0."""
    canonizers = [canonizer()]
    if composite == "epsilon_plus_flat":
        rules = EpsilonPlusFlat(epsilon=epsilon, stabilizer=1e-12, canonizers=canonizers)
    else:
        sums = ((Sum, AvgPool), Norm(stabilizer=1e-12))
        layer_map = [((Activation, BatchNorm), Pass()), sums, ((Linear,), Epsilon(epsilon=epsilon))]
        rules = LayerMapComposite(layer_map, canonizers=canonizers)
    with Gradient(network, rules) as attributor:
        return attributor(x.clone(), lambda output: output * torch.eye(output.shape[1])[targets].to(output))[1]


@COMPOSITES
@pytest.mark.parametrize(
    ("build", "canonizer", "size"),
    [
        (vgg16, VGGCanonizer, (1, 32, 40)),
        (resnet18, ResNetCanonizer, (2, 40, 56)),
        (bottleneck, ResNetCanonizer, (2, 40, 56)),
    ],
)
def test_oracle(build, canonizer, size, composite):
    network, x, targets = build().double(), images(*size), [1, 7][: size[0]]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    maps = LRP(network, composite=composite, epsilon=1e-3)(x, targets)
    near(maps, in_zennit(network, canonizer, composite, x, targets, epsilon=1e-3), 1e-6)


def test_replica():
    """Three layers by hand, in loops over rows of matrices."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 6)
    )
    network, x = network.double().eval(), images(1, 8, 8)[:, :, :6, :6]
    with torch.no_grad():
        first = network[:2](x)
        second = network[2:4](first).flatten()
        out, eps = network[5](second), 1e-2
        r_out = out[2]
        r_second = second * network[5].weight[2] * r_out / (out[2] + eps * out[2].sign())
        r_first = torch.zeros_like(first)
        r_x = torch.zeros_like(x)
        for k in range(20):
            channel, row, column = k // 4, k // 2 % 2, k % 2
            seen = first[0, :, row : row + 3, column : column + 3]
            speaks = (seen * network[2].weight[channel]).clamp(min=0)
            total = speaks.sum() + network[2].bias[channel].clamp(min=0)
            r_first[0, :, row : row + 3, column : column + 3] += speaks / total * r_second[k]
        for channel, row, column in torch.cartesian_prod(*map(torch.arange, first.shape[1:])).tolist():
            r_x[0, :, row : row + 3, column : column + 3] += r_first[0, channel, row, column] / 27
    near(LRP(network, epsilon=eps)(x, 2), r_x)


def without_bias(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.bias = None
    return network


@COMPOSITES
def test_relevance_is_conserved_without_biases(composite):
    network, x = without_bias(small_vgg()).double(), images(3, 40, 56)
    map = LRP(network, composite=composite, epsilon=1e-12)(x, [1, 7, 3])
    with torch.no_grad():
        near(map.sum((1, 2, 3)), network(x)[[0, 1, 2], [1, 7, 3]])


def test_biases_absorb_the_missing_relevance():
    """By the epsilon rule a bias has the multiplier of its unit: relevance and biases times multipliers sum to F."""
    network, x = small_vgg().double(), images(1, 40, 56)
    biases = [module.bias for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    absorbed = sum((g * b).sum() for g, b in zip(torch.autograd.grad(network(x)[0, 4], biases), biases, strict=True))
    map = LRP(network, composite="epsilon", epsilon=1e-12)(x, 4)
    near(map.sum() + absorbed.detach(), network(x)[0, 4].detach())


def test_two_roads_epsilon_of_nothing_is_input_x_gradient():
    """Ancona et al. 2018 (arXiv 1711.06104), proposition 1, for ReLU networks."""
    network, x = resnet18().double(), images(2, 40, 56)
    near(LRP(network, composite="epsilon", epsilon=1e-12)(x, [1, 7]), InputXGradient(network)(x, [1, 7]), 1e-6)


@COMPOSITES
def test_maps_do_not_depend_on_batch_or_chunk(composite):
    network, x, targets = residual().double(), images(3, 40, 56), torch.tensor([[1, 4], [7, 2], [3, 0]])
    options = {"scores": torch.zeros(3, 2), "seeds": torch.zeros(3, dtype=torch.int64)}
    whole = LRP(network, composite=composite).explain(x, targets, **options).maps
    for t in range(2):
        alone = LRP(network, composite=composite, internal_batch_size=1)(x[[2, 0]], targets[[2, 0], t])
        near(alone, whole[[2, 0], t])


def test_float32_and_half_precision():
    network, x = residual(), images(2, 40, 56, torch.float32)
    expected = LRP(copy.deepcopy(network).double())(x.double(), [1, 7])
    near(LRP(network)(x, [1, 7]).double(), expected, 1e-4)
    half = LRP(copy.deepcopy(network).bfloat16())(x.bfloat16(), [1, 7])
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


def test_in_the_noise_tunnel():
    network, x = small_vgg().double(), images(1, 40, 56)
    near(NoiseTunnel(LRP(network), nt_samples=2, stdevs=0)(x, 1), LRP(network)(x, 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"composite": "flat"}, "composite must be one of epsilon_plus_flat, epsilon, not 'flat'"),
        ({"epsilon": 0}, "epsilon must be above 0, not 0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        LRP(small_vgg(), **options)
