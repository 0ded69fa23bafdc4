"""The faster copy of a network has its values; the network itself is evaluated where a copy is not possible."""

import pytest
import torch
import torchvision
from torch import nn

from pipeline.engine.network.prepared import FastNetwork
from pipeline.errors import UsageError
from pipeline.methods import IntegratedGradients
from pipeline.view import View
from tests import networks


@pytest.mark.parametrize(
    "network",
    [networks.resnet18, networks.small_vgg, lambda: networks.with_statistics(torchvision.models.mobilenet_v3_small())],
)
def test_the_copy_has_the_values_of_the_network(network):
    network, points = network().double(), networks.images(3, 64, 72)
    fast = FastNetwork(network)
    assert fast.prepared(points) is not None
    assert torch.allclose(fast(points), network(points), rtol=0, atol=1e-10)


@pytest.mark.parametrize("network", [networks.resnet18, networks.small_vgg])
@pytest.mark.parametrize("targets", [[[1]], [[1, 4]]])
def test_the_stem_gives_the_same_integral(network, targets):
    """Two roads: the whole network at each point, and the affine layers once for each image."""
    network, images = network().double(), networks.images(2, 64, 72)
    targets = torch.tensor(targets).expand(2, -1)
    assert FastNetwork(network).stem(images) is not None
    both = []
    for prepare in (True, False):
        method = IntegratedGradients(View(network, prepare=prepare), n_steps=7, baselines=0.3, internal_batch_size=4)
        both.append(method.explain(images, targets, scores=method.scores(images, targets), seeds=torch.zeros(2)).maps)
    assert (both[0] - both[1]).abs().max() < 1e-10 * both[1].abs().max()


def test_a_compiled_network_gives_the_same_maps():
    network, images = networks.small_vgg().double(), networks.images(3, 40, 40)
    targets = torch.tensor([[1, 4]]).expand(3, -1)
    both = []
    for compile in ("aot_eager", None):
        view = View(network, prepare=True, compile=compile)
        method = IntegratedGradients(view, n_steps=7, internal_batch_size=4)
        both.append(method.explain(images, targets, scores=method.scores(images, targets), seeds=torch.zeros(3)).maps)
    assert (both[0] - both[1]).abs().max() < 1e-10 * both[1].abs().max()


def test_what_cannot_be_compiled_is_reported():
    with pytest.raises(ValueError, match=r"compile must be one of .*inductor.*, not 'fast'"):
        View(networks.small_vgg(), prepare=True, compile="fast")

    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    torch._dynamo.register_backend(broken, "broken")
    view = View(networks.small_vgg(), prepare=True, compile="broken")
    with pytest.raises(UsageError, match=r"engine\.compile=broken: .*no compiler here"):
        view.logits(networks.images(1, 40, 40, torch.float32))


def test_no_stem_where_the_first_layer_is_not_affine():
    network = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Flatten()).eval()
    assert FastNetwork(network).stem(networks.images(1, 8, 8, torch.float32)) is None


def test_a_training_network_has_no_copy():
    network, points = networks.resnet18(), networks.images(2, 64, 64, torch.float32)
    fast = FastNetwork(network)
    network.train()
    assert fast.prepared(points) is None
    network.eval()
    assert fast.prepared(points) is not None


def test_what_cannot_be_traced_has_no_copy():
    class Branching(nn.Module):
        def forward(self, points):
            return points.flatten(1) if points.sum() > 0 else -points.flatten(1)

    points = torch.ones(1, 3, 4, 4)
    fast = FastNetwork(Branching().eval())
    assert fast.prepared(points) is None
    assert torch.equal(fast(points), points.flatten(1))
