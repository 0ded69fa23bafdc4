"""A network cut at a layer by its graph computes what it computes cut by hooks, and the first part runs once."""

import pytest
import torch
from torch import nn

from pipeline.engine.network.cut import CutNetwork, GraphCut, HookCut
from pipeline.engine.network.prepare import without_in_place
from pipeline.engine.network.trace import trace
from tests.engine.network import unusual
from tests.networks import Recording, images, residual, small_vgg


@pytest.mark.parametrize("layer", ["stem.0", "stem.1", "body.0", "body", "head.0"])
def test_both_cuts_have_the_same_values_and_outputs(layer: str) -> None:
    network, x = residual().double(), images(2, 32, 32)
    graph, hooks = (
        GraphCut(without_in_place(trace(network, layer)), layer),
        HookCut(network, network.get_submodule(layer)),
    )
    (values, others), (expected, _) = graph.enter(x), hooks.enter(x)
    torch.testing.assert_close(values, expected)
    assert bool(others) == layer.startswith("body")  # the skip connection
    changed = torch.randn_like(values)
    torch.testing.assert_close(graph.rest(changed, *others), hooks.rest(changed, x))
    torch.testing.assert_close(graph.rest(values, *others), network(x))


def test_a_cut_is_made_once_and_again_when_the_weights_change() -> None:
    network, x = residual().double(), images(2, 32, 32)
    cut = CutNetwork(network, "body.0", prepare=True)
    first = cut.of(x)
    assert isinstance(first, GraphCut) and cut.of(x[:1]) is first
    with torch.no_grad():
        network.body[0].weight.mul_(2)
    second = cut.of(x)
    assert second is not first
    torch.testing.assert_close(second.enter(x)[0], network.body[0](network.stem(x)).detach())


def test_hooks_where_the_graph_would_leave_something_out() -> None:
    network, x = unusual.built(unusual.NoGradGate), images(2, 16, 16)
    assert isinstance(CutNetwork(network, "first", prepare=False).of(x), HookCut)
    assert isinstance(CutNetwork(network, "second", prepare=False).of(x), GraphCut)  # behind the gate
    plain = unusual.built(unusual.Base)
    cut = CutNetwork(plain, "first", prepare=False)
    handle = plain.norm.register_forward_hook(lambda *_: None)
    assert isinstance(cut.of(x), HookCut)
    handle.remove()
    assert isinstance(cut.of(x), GraphCut)
    plain.train()
    assert isinstance(cut.of(x), HookCut)


def test_hooks_where_what_bypasses_the_layer_is_not_of_one_image() -> None:
    class Centred(nn.Module):
        """Outputs less their mean over the batch of inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            means = x.mean((2, 3))
            return self.layer(means) + 0 * means.mean(0)

    assert isinstance(CutNetwork(Centred().double(), "layer", prepare=False).of(images(2, 16, 16)), HookCut)


def test_a_network_that_works_on_its_input_leaves_the_images() -> None:
    network, x = unusual.built(unusual.WorksOnItsInput), images(2, 16, 16)
    pixels = x.clone()
    cut = HookCut(network, network.first)
    values, others = cut.enter(x)
    torch.testing.assert_close(cut.rest(values, *others), network(pixels.clone()))
    assert torch.equal(x, pixels)


def test_the_layer_must_run_which_is_checked_once() -> None:
    idle = nn.Sequential(Unused(), small_vgg()).double().eval()
    with pytest.raises(ValueError, match="runs 0 times"):
        CutNetwork(idle, "0.unused", prepare=False).of(images(1, 32, 32))
    network = nn.Sequential(Recording(small_vgg()[:4]), small_vgg()[4:]).double().eval()
    cut = CutNetwork(network, "1.8", prepare=False)
    for _ in range(2):
        assert isinstance(cut.of(images(1, 32, 32)), HookCut)  # torch.fx cannot follow a network that counts its points
    assert network[0].passes == [1]


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
