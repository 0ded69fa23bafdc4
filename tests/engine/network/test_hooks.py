"""Layers are found by name; hooks read, detach and replace activations, and are removed also after an error."""

import pytest
import torch
from torch import nn

from pipeline.engine.network.hooks import (
    find_layer,
    forward_until,
    output_as_leaf,
    output_replaced,
    require_one_run,
)
from tests.networks import Recording, images, resnet18, small_vgg


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
def test_a_wrong_name_is_reported_with_similar_ones(layer, words):
    with pytest.raises(ValueError, match=words):
        find_layer(resnet18(), layer)


def test_the_leaf_has_the_gradient_at_the_layer_although_the_next_layer_works_in_place():
    network, x = small_vgg().double(), images(2, 64, 72)
    with output_as_leaf(network[3]) as leaves:
        network(x)[:, 4].sum().backward()
    activation = network[:4](x).detach().requires_grad_()
    network[4:](activation.clone())[:, 4].sum().backward()
    (leaf,) = leaves
    torch.testing.assert_close(leaf, activation)
    torch.testing.assert_close(leaf.grad, activation.grad)


def test_the_leaf_is_the_first_of_a_tuple_and_must_be_a_tensor():
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


def test_the_hook_is_removed_also_after_an_error():
    network = resnet18()
    with pytest.raises(Failure), output_as_leaf(network.layer4):
        network(images(1, 64, 72, torch.float32))
        raise Failure
    assert hooks(network) == 0


def test_the_forward_pass_ends_at_the_layer():
    network, x = small_vgg().double(), images(2, 64, 72)
    rest = Recording(network[4:])
    whole = nn.Sequential(*network[:4], rest)
    assert torch.equal(forward_until(whole, whole[3], x), network[:4](x))
    assert rest.passes == [] and hooks(whole) == 0


def test_a_layer_that_does_not_run():
    network = Idle()
    with pytest.raises(ValueError, match="it does not run when the network does"):
        forward_until(network, network.idle, torch.ones(1, 2))
    with pytest.raises(ValueError, match="idle runs 0 times"):
        require_one_run(network, "idle", network.idle, torch.ones(1, 2))
    assert hooks(network) == 0


def test_a_layer_that_runs_twice_or_on_pieces_of_an_image():
    network = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(0, 1), nn.Linear(3, 1))
    with pytest.raises(ValueError, match="2 cuts the image into pieces"):
        require_one_run(network, "2", network[2], torch.ones(1, 6))
    twice = nn.Sequential(relu := nn.ReLU(), nn.Linear(2, 2), relu)
    with pytest.raises(ValueError, match="0 runs 2 times"):
        require_one_run(twice, "0", relu, torch.ones(1, 2))


def test_an_activation_is_replaced_although_the_next_layer_works_in_place():
    network, x = small_vgg().double(), images(2, 64, 72)
    values = torch.randn_like(network[:4](x))
    before = values.clone()
    with output_replaced(network[3], values):
        outputs = network(x)
    assert torch.equal(outputs, network[4:](before.clone())) and torch.equal(values, before)
    assert hooks(network) == 0


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.idle, self.busy = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.busy(x)
