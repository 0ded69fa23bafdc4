import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.engine.network.hooks import find_layer, output_as_leaf
from pipeline.engine.network.rectified_backward import RectifiedBackward
from tests.networks import images, resnet18, small_vgg


class Failure(Exception):
    pass


def hooks(network):
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules())


def test_layers_are_found_by_name_and_by_module():
    network = resnet18()
    assert find_layer(network, "layer3.1.conv2") == ("layer3.1.conv2", network.layer3[1].conv2)
    assert find_layer(network, network.layer3[1].conv2) == ("layer3.1.conv2", network.layer3[1].conv2)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("layer3.1.conv3", r"did you mean .*layer3\.1\.conv2"),
        ("conv2", r"did you mean layer1\.0\.conv2"),
        ("zzzzzz", "it has conv1, bn1, relu, maxpool, layer1"),
        ("", "no layer ''"),
        (3.1, "put quotes"),
        (nn.ReLU(), "this ReLU is no part"),
    ],
)
def test_a_wrong_layer_is_named_with_near_ones(layer, words):
    with pytest.raises(ValueError, match=words):
        find_layer(resnet18(), layer)


def test_cut_gives_the_gradient_at_the_layer_although_the_next_layer_works_in_place():
    network, x = small_vgg().double(), images(2, 64, 72)
    with output_as_leaf(network[3]) as leaves:
        network(x)[:, 4].sum().backward()
    activation = network[:4](x).detach().requires_grad_()
    network[4:](activation.clone())[:, 4].sum().backward()
    (leaf,) = leaves
    torch.testing.assert_close(leaf, activation)
    torch.testing.assert_close(leaf.grad, activation.grad)


def test_cut_takes_the_first_of_a_tuple_and_refuses_what_is_no_tensor():
    class Two(nn.Module):
        def forward(self, x):
            return x * 2, "other"

    class Words(nn.Module):
        def forward(self, x):
            return "words"

    two = Two()
    with output_as_leaf(two) as leaves:
        assert two(torch.ones(1))[1] == "other"
    assert torch.equal(leaves[0], torch.full((1,), 2.0))
    words = Words()
    with pytest.raises(ValueError, match="its output is a str"), output_as_leaf(words):
        words(torch.ones(1))
    assert hooks(words) == 0


def test_cut_is_undone_also_after_an_error():
    network = resnet18()
    with pytest.raises(Failure), output_as_leaf(network.layer4):
        network(images(1, 64, 72, torch.float32))
        raise Failure
    assert hooks(network) == 0


def formula(values, gradient, *, highest, where_active):
    positive = gradient.clamp(min=0)
    return positive * ((values > 0) & (values < highest)) if where_active else positive


@pytest.mark.parametrize("where_active", [True, False])
@pytest.mark.parametrize(
    ("call", "highest"),
    [
        (nn.ReLU(), torch.inf),
        (nn.ReLU(inplace=True), torch.inf),
        (nn.ReLU6(), 6),
        (F.relu, torch.inf),
        (torch.relu, torch.inf),
        (torch.ops.aten.relu.default, torch.inf),
        (lambda x: x.relu(), torch.inf),
        (lambda x: x.relu_(), torch.inf),
        (lambda x: F.relu(x, True), torch.inf),
        (lambda x: F.relu(input=x, inplace=True), torch.inf),
        (F.relu6, 6),
        (lambda x: F.hardtanh(x, 0, 3, inplace=True), 3),
    ],
)
def test_every_form_of_relu_has_the_rewritten_backward(call, highest, where_active):
    x = (8 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    weights = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with RectifiedBackward(where_active=where_active) as mode:
        rectified = call(x * 1)
    assert mode.rewritten == 1
    torch.testing.assert_close(rectified, x.clamp(0, highest))
    (gradient,) = torch.autograd.grad((rectified * weights).sum(), x)
    torch.testing.assert_close(gradient, formula(x, weights, highest=highest, where_active=where_active))


def test_in_place_also_changes_the_tensor_it_was_called_on():
    x = torch.tensor([-1.0, 2.0])
    with RectifiedBackward(where_active=True):
        F.relu_(x)
    assert x.tolist() == [0, 2]


def test_the_backward_is_the_networks_own_again_also_after_an_error():
    x = torch.tensor([3.0], requires_grad=True)
    with pytest.raises(Failure), RectifiedBackward(where_active=True):
        raise Failure
    assert torch.autograd.grad(-F.relu(x).sum(), x)[0].item() == -1


def test_other_non_linearities_are_named_and_left_alone():
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    with RectifiedBackward(where_active=True) as mode:
        total = (F.gelu(x) + nn.Hardswish()(x) + nn.Hardtanh(-2, 2)(x)).sum()
    assert (mode.rewritten, mode.others) == (0, {"gelu", "hardswish", "hardtanh"})
    with_mode = torch.autograd.grad(total, x)[0]
    without = torch.autograd.grad((F.gelu(x) + F.hardswish(x) + F.hardtanh(x, -2, 2)).sum(), x)[0]
    assert torch.equal(with_mode, without)
