"""The affine first layers of a network, which a straight path of points passes as a straight path."""

import torch
from torch import Tensor, fx, nn

from pipeline.engine.network.subgraph import subgraph

AFFINE = (nn.Conv2d, nn.ZeroPad2d, nn.BatchNorm2d, nn.Identity)


class AffineStem:
    """A prepared network in two: its affine first layers, and the rest.

    For A affine, A(b + a (x - b)) = A(b) + a (A(x) - A(b)), and a weighted sum of gradients at x, b, ... goes back
    through A at once: neither needs to be done for each point of the path.

    Args:
        layers: (N, C, H, W) -> (N, *), affine.
        rest: (P, *) -> outputs.
    """

    def __init__(self, layers: nn.Module, rest: nn.Module) -> None:
        self.layers, self.rest = layers, rest

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, *)."""
        with torch.no_grad():
            through: Tensor = self.layers(images)
        return through

    def pull_back(self, gradients: Tensor, images: Tensor) -> Tensor:
        """Gradients with respect to what leaves the stem (N, T, *) -> to what enters it (N, T, C, H, W)."""
        inputs = images.detach().requires_grad_()
        with torch.enable_grad():
            through = self.layers(inputs)
        last = gradients.shape[1] - 1
        pulled = [
            torch.autograd.grad(through, inputs, gradients[:, t], retain_graph=t < last)[0] for t in range(last + 1)
        ]
        return torch.stack(pulled, 1)


def split_affine_stem(network: fx.GraphModule) -> AffineStem | None:
    """The stem of a prepared network, or None if its first operation is not affine."""
    modules = dict(network.named_modules())
    node = next(node for node in network.graph.nodes if node.op == "placeholder")
    layers: list[nn.Module] = []
    while len(node.users) == 1:
        (follower,) = node.users
        if follower.op != "call_module" or not isinstance(modules[follower.target], AFFINE):
            break
        layers.append(modules[follower.target])
        node = follower
    if not any(isinstance(layer, nn.Conv2d) for layer in layers):
        return None
    return AffineStem(nn.Sequential(*layers), subgraph(network, [node]))
