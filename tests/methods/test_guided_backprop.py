import warnings

import captum.attr
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from pipeline.methods import Deconvolution, GuidedBackprop
from pipeline.models.efficientnet_lite import EfficientNetLite0
from tests.networks import images, resnet18, small_vgg, with_statistics

METHODS = {GuidedBackprop: captum.attr.GuidedBackprop, Deconvolution: captum.attr.Deconvolution}
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations"),  # Captum's
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
]


class Functional(nn.Module):
    """A small network whose non-linearities are all functions."""

    def __init__(self, rectify=F.relu):
        super().__init__()
        torch.manual_seed(3)
        self.convolution, self.second, self.linear = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3, 2), nn.Linear(8, 5)
        self.rectify = rectify

    def forward(self, x):
        x = self.rectify(self.convolution(x))
        return self.linear(self.rectify(self.second(x)).mean((2, 3)))


class Modules(Functional):
    """The same with modules."""

    def __init__(self, module):
        super().__init__()
        self.first_relu, self.second_relu = module(), module()

    def forward(self, x):
        x = self.first_relu(self.convolution(x))
        return self.linear(self.second_relu(self.second(x)).mean((2, 3)))


def replica(network, image, target, *, where_active, highest=torch.inf):
    """Layer by layer by hand, for `Functional`."""
    first = F.conv2d(image[None], network.convolution.weight, network.convolution.bias)
    second = F.conv2d(first.clamp(0, highest), network.second.weight, network.second.bias, stride=2)
    gradient = network.linear.weight[target][None, :, None, None].expand_as(second) / second[0, 0].numel()

    def back(values, gradient):
        positive = torch.where(gradient > 0, gradient, 0.0)
        return torch.where((values > 0) & (values < highest), positive, 0.0) if where_active else positive

    gradient = F.conv_transpose2d(back(second, gradient), network.second.weight, stride=2)
    missing = (first.shape[2] - gradient.shape[2], first.shape[3] - gradient.shape[3])  # rows that no kernel reached
    gradient = F.pad(gradient, (0, missing[1], 0, missing[0]))
    return F.conv_transpose2d(back(first, gradient), network.convolution.weight)[0].detach()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("rectify", "highest"), [(F.relu, torch.inf), (torch.relu, torch.inf), (F.relu6, 0.5)])
def test_replica_with_functional_relu(method, rectify, highest):
    if highest == 0.5:
        rectify = lambda x: F.hardtanh(x, 0.0, 0.5)  # noqa: E731 # a ReLU6 that really saturates
    network, x = Functional(rectify).double(), images(2, 64, 72)
    maps = method(network)(x, [1, 4])
    for image, target, map in zip(x, [1, 4], maps, strict=True):
        expected = replica(network, image, target, where_active=method is GuidedBackprop, highest=highest)
        torch.testing.assert_close(map, expected, rtol=0, atol=1e-12 * expected.abs().max().item())


@pytest.mark.parametrize("method", METHODS)
def test_functions_are_treated_like_modules_where_captum_sees_only_modules(method):
    modules, functions, x = Modules(nn.ReLU).double(), Functional().double(), images(2, 64, 72)
    expected = METHODS[method](modules).attribute(x, 2).detach()
    plain = captum.attr.Saliency(functions).attribute(x, 2, abs=False)
    tolerance = 1e-6 * expected.abs().max().item()
    torch.testing.assert_close(method(functions)(x, 2), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(METHODS[method](functions).attribute(x, 2).detach(), plain)  # Captum's silent no-op
    assert (expected - plain).abs().max() > 1e5 * tolerance


@pytest.mark.parametrize("method", METHODS)
def test_captum_leaves_relu6_alone(method):
    network, x = Modules(nn.ReLU6).double(), 20 * images(2, 64, 72)
    plain = captum.attr.Saliency(network).attribute(x, 2, abs=False)
    torch.testing.assert_close(METHODS[method](network).attribute(x, 2).detach(), plain)
    assert (method(network)(x, 2) - plain).abs().max() > 0.1 * plain.abs().max()


@pytest.mark.parametrize("method", METHODS)
def test_several_targets_share_a_forward(method):
    network, x = small_vgg().double(), images(2, 64, 72)
    targets = torch.tensor([[1, 7], [3, 2]])
    explained = method(network).explain(x, targets, scores=torch.zeros(2, 2), seeds=torch.zeros(2))
    torch.testing.assert_close(explained.maps[:, 1], method(network)(x, [7, 2]))


@pytest.mark.parametrize("method", METHODS)
def test_an_exported_program_has_rectified_gradients_too(method):
    network, x = small_vgg(), images(2, 64, 72, torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    torch.testing.assert_close(method(program)(x, 4), method(network)(x, 4))


@pytest.mark.parametrize("method", METHODS)
def test_relu6_of_the_demo_network(method):
    network = with_statistics(EfficientNetLite0(10)).double()
    assert (method(network)(images(1, 64, 72), 4).abs() > 0).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_relu_is_refused_by_name(method):
    network = Functional(F.gelu)
    with pytest.raises(ValueError, match=f"{method.__name__} rewrites ReLU and ReLU6.*its non-linearities are gelu"):
        method(network)(images(1, 64, 72, torch.float32), 1)
    with pytest.raises(ValueError, match="gelu"):
        method(network).geometry((3, 64, 72))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(small_vgg(), images(1, 64, 72, torch.float32))
    with pytest.raises(ValueError, match="TorchScript hides them"):
        method(traced)(images(1, 64, 72, torch.float32), 1)


def test_non_linearities_with_their_plain_gradient_are_logged_once(caplog):
    method = GuidedBackprop(torchvision.models.mobilenet_v3_small(weights=None, num_classes=5).eval())
    for _ in range(2):
        method(images(1, 64, 72, torch.float32), 1)
    (record,) = caplog.records
    assert "hardsigmoid, hardswish of this network keep" in record.message


def test_the_network_is_left_unchanged_also_after_an_error():
    network, x = resnet18(), images(1, 64, 72, torch.float32)
    before = torch.autograd.grad(network(x.requires_grad_())[0, 0], x)[0]
    method = GuidedBackprop(network)
    method(x.detach(), 1)

    def fail():
        raise InterruptedError

    method.on_chunk(fail)
    with pytest.raises(InterruptedError):
        method(x.detach(), 1)
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert torch.equal(torch.autograd.grad(network(x)[0, 0], x)[0], before)
    assert all(parameter.grad is None for parameter in network.parameters())
