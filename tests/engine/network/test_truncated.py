"""A neuron's network is the network's own part up to the neuron, and its graph stands in only while it is traced."""

import pytest
import torch
from torch import nn

from pipeline.engine.network.prepared import FastNetwork
from pipeline.engine.network.trace import trace
from pipeline.engine.network.truncated import NeuronNetwork
from tests.engine.network import unusual
from tests.networks import Recording, images, residual, small_vgg


@pytest.mark.parametrize(("neuron", "index"), [([3, 4, 5], (3, 4, 5)), ([3, None, -1], (3, slice(None), -1))])
def test_value_of_a_neuron_and_the_sum_over_an_axis(neuron: list[int | None], index: tuple[object, ...]) -> None:
    network, x = residual().double(), images(2, 32, 32)
    expected = (
        network.body(network.stem(x))[:, *index].flatten(1).sum(1)
        if None in neuron
        else (network.body(network.stem(x))[:, *index])
    )
    for values in (NeuronNetwork(network, "body", neuron), trace(NeuronNetwork(network, "body", neuron))):
        torch.testing.assert_close(values(x), expected[:, None])


def test_what_follows_the_layer_does_not_run_and_is_not_in_the_graph() -> None:
    rest = Recording(small_vgg()[4:])
    network, x = nn.Sequential(*small_vgg()[:4], rest).double().eval(), images(2, 32, 32)
    NeuronNetwork(network, "3", [5, 0, 7])(x)
    assert rest.passes == []
    graph = trace(NeuronNetwork(small_vgg(), "3", [5, 0, 7]))
    assert sum(isinstance(module, nn.Linear) for module in graph.modules()) == 0


def test_a_gate_without_gradients_has_none_in_a_copy_either() -> None:
    network, x = unusual.built(unusual.NoGradGate), images(2, 16, 16)
    neuron = NeuronNetwork(network, "second", [2, 3, 4])
    fast = FastNetwork(neuron)
    assert fast.prepared(x) is None
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(fast(x), neuron(x))
    assert torch.equal(*(torch.autograd.grad(function(leaf).sum(), leaf)[0] for function in (fast, neuron)))


def test_it_follows_weights_that_change_and_layers_that_are_replaced() -> None:
    network, x = small_vgg().double(), images(2, 32, 32)
    neuron = NeuronNetwork(network, "3", [5, 0, 7])
    fast = FastNetwork(neuron)
    before = fast(x)
    with torch.no_grad():
        network[3].bias += 1
    torch.testing.assert_close(fast(x), before + 1)
    network[0] = nn.Conv2d(3, 8, 3, padding=1).double()
    torch.testing.assert_close(fast(x), network[:4](x)[:, 5, 0, 7, None])


def test_a_layer_that_runs_twice_is_refused() -> None:
    relu = nn.ReLU()
    with pytest.raises(ValueError, match="layer: 1 runs 2 times"):
        NeuronNetwork(nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu), "1", [0])
