"""Graphs compute what their networks do, share weights only on request, and leave the networks unchanged."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.engine.network.trace import CannotTrace, trace
from tests.engine.network import unusual

IMAGES = torch.randn(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_copy_follows_no_weights_and_a_graph_that_shares_them_does() -> None:
    network = unusual.built(unusual.Base)
    copy, shared = trace(network), trace(network, share_weights=True)
    before = network(IMAGES)
    with torch.no_grad():
        network.head.bias += 1
    torch.testing.assert_close(copy(IMAGES), before)
    torch.testing.assert_close(shared(IMAGES), before + 1)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_further_arguments_have_their_defaults() -> None:
    network = unusual.built(unusual.OptionalArguments)
    graph = trace(network)
    assert [node.op for node in graph.graph.nodes].count("placeholder") == 1
    torch.testing.assert_close(graph(IMAGES), network(IMAGES))


def test_a_layer_stays_one_node() -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2))
    targets = [node.target for node in trace(network, "0").graph.nodes if node.op == "call_module"]
    assert targets == ["0", "1"]
    targets = [node.target for node in trace(network).graph.nodes if node.op == "call_module"]
    assert targets == ["0.0", "0.1", "1"]


@pytest.mark.parametrize("share_weights", [False, True])
def test_the_network_keeps_no_stand_in_for_an_activation(share_weights: bool) -> None:
    network = unusual.built(unusual.KeepsActivation)
    network(IMAGES)
    before = network.activation = network.activation.detach()
    trace(network, share_weights=share_weights)
    assert network.activation is before


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum() > 0 else -images


@pytest.mark.parametrize(
    ("network", "words"), [(Branching(), "TraceError: "), (unusual.HoldsLock(), "TypeError: cannot pickle")]
)
def test_the_reason_why_a_network_cannot_be_traced(network: nn.Module, words: str) -> None:
    with pytest.raises(CannotTrace, match=words):
        trace(network)


def test_out_of_memory_is_no_such_reason() -> None:
    class Full(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("no memory left")

    with pytest.raises(torch.OutOfMemoryError):
        trace(Full())
