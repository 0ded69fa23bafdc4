"""LRP's rules of a network's functions: other ways to write the same network, and operations that are refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.methods import LRP
from pipeline.view import View
from tests.methods.test_lrp import COMPOSITES, near
from tests.networks import images, residual, small_vgg


class Written(nn.Module):
    """``residual`` in functions, in place, with one ReLU and batch norms that may come late."""

    def __init__(self, network, *, late=False):
        super().__init__()
        self.network, self.relu, self.late = network, nn.ReLU(inplace=True), late

    def norm(self, x, norm):
        weights = norm.running_mean, norm.running_var, norm.weight, norm.bias
        return functional.batch_norm(x, *weights, training=False, eps=norm.eps)

    def forward(self, x):
        (first, norm, _), (second, other), head = self.network.stem, self.network.body, self.network.head
        y = functional.conv2d(x, first.weight, first.bias, 2, padding=1)
        y = self.relu(self.norm(y, norm))
        z = functional.conv2d(y, weight=second.weight, bias=second.bias, padding=1)
        later = functional.conv2d(y, torch.zeros_like(second.weight), padding=1) if self.late else 0
        z = self.norm(z, other) + later
        z += y
        return head(functional.relu_(z))


@COMPOSITES
@pytest.mark.parametrize("late", [False, True])
def test_other_ways_to_write_a_network(composite, late):
    network, x = residual().double(), images(2, 40, 56)
    expected = LRP(network, composite=composite)(x, [1, 7])
    near(LRP(View(Written(network, late=late)), composite=composite)(x, [1, 7]), expected)
    near(LRP(View(network), composite=composite)(x, [1, 7]), expected)  # neither traced nor folded
    program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("n")},)).module()
    near(LRP(View(program), composite=composite)(x, [1, 7]), expected)


class Scaled(nn.Module):
    """Takes pixels from 0 to 1, as Inception v3 does, and ReLU6 where ReLU would do."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        channels = [x[:, c : c + 1] * 4.0 - 2.0 for c in range(3)]
        return self.network(torch.cat(channels, 1).div_(0.5))


def test_relevance_passes_the_networks_own_scaling_and_relu6():
    network, x = small_vgg().double(), images(2, 40, 56)
    other = copy.deepcopy(network)
    other[1], other[4] = nn.ReLU6(), nn.ReLU6(inplace=True)
    assert network[:2](x).max() < 6 and network[:5](x).max() < 6
    near(LRP(Scaled(other))((x / 2 + 2) / 4, [1, 7]), LRP(network)(x, [1, 7]))


class PaddedFirst(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        first = self.network[0]
        return self.network[1:](functional.conv2d(functional.pad(x, (1, 1, 1, 1)), first.weight, first.bias))


@COMPOSITES
def test_padding_before_the_first_layer_absorbs_no_relevance(composite):
    network, x = small_vgg().double(), images(2, 40, 56)
    near(LRP(PaddedFirst(network), composite=composite)(x, [1, 7]), LRP(network, composite=composite)(x, [1, 7]))


def test_relu6_passes_relevance_where_it_clips():
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU6(), nn.Flatten(), nn.Linear(64, 2, bias=False))
    network, x = network.double().eval(), 50 * images(1, 8, 8)[:, :, :4, :4]
    assert (network[:2](x) == 6).any()
    map = LRP(network, epsilon=1e-12)(x, 0)
    near(map.sum(), network(x)[0, 0].detach())


class Gated(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


class Dynamic(nn.Module):
    def forward(self, x):
        return functional.conv2d(x, x.mean(0, keepdim=True)[:, :, :3, :3])


class Around(nn.Module):
    def forward(self, x):
        return torch.cat((functional.avg_pool2d(x, 2), functional.conv2d(x, torch.ones(4, 3, 2, 2), stride=2)), 1)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([nn.Conv2d(3, 4, 3), nn.GELU()], "LRP has no rule for gelu"),
        ([nn.Conv2d(3, 4, 3), nn.Hardswish()], "LRP has no rule for hardswish"),
        ([nn.Conv2d(3, 4, 3), nn.Sigmoid()], "LRP has no rule for sigmoid"),
        ([nn.Conv2d(3, 4, 3), nn.Hardtanh(0.5, 1.0)], "LRP has no rule for hardtanh"),
        ([nn.Conv2d(3, 4, 3), Gated()], "LRP has no rule for mul"),
        ([nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)], "LRP has no rule for native_group_norm"),
        ([nn.Conv2d(3, 4, 3), nn.Softmax(1)], "LRP has no rule for softmax"),
        ([Dynamic()], "LRP has no rule for convolution"),
        ([nn.ConvTranspose2d(3, 4, 3)], "LRP has no rule for convolution"),
        ([Around()], "composite=epsilon"),
        ([nn.AvgPool2d(2), nn.Conv2d(3, 4, 3)], "does not pass AvgPool2D, which stands before the first layer"),
        ([nn.ConstantPad2d(1, 0.5), nn.Conv2d(3, 4, 3)], "does not pass ConstantPadNd"),
        ([nn.ReLU()], "composite=epsilon"),
    ],
)
def test_operations_without_a_rule_are_refused_by_name(layers, words):
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(ValueError, match=words):
        LRP(network).geometry((3, 8, 8))
    with pytest.raises(ValueError, match=words):
        LRP(View(network))(torch.rand(2, 3, 8, 8), 0)


@pytest.mark.parametrize("output", ["probability", "log_probability"])
def test_probabilities_have_no_rule(output):
    with pytest.raises(ValueError, match="LRP has no rule for"):
        LRP(View(small_vgg(), output=output)).geometry((3, 40, 56))
