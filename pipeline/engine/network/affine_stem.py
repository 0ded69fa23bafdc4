"""Affine first layers of a network: they map a straight path of points to a straight path."""

import torch
from torch import Tensor, fx, nn

from pipeline.engine.network.subgraph import subgraph

AFFINE = (nn.Conv2d, nn.ZeroPad2d, nn.BatchNorm2d, nn.Identity)


class AffineStem:
    """A prepared network in two parts: its affine first layers, and the rest.

    For A affine, A(b + a (x - b)) = A(b) + a (A(x) - A(b)), and A has the same Jacobian at every point: a weighted sum
    of gradients at points of the path needs one vector-Jacobian product with A. Neither is needed for each point.

    Args:
        layers: (N, C, H, W) -> (N, *), affine.
        rest: (P, *) -> outputs.
    """

    def __init__(self, layers: nn.Module, rest: nn.Module) -> None:
        self.layers, self.rest = layers, rest

    def __call__(self, images: Tensor) -> Tensor:
        """Return the activation (N, *) of images (N, C, H, W)."""
        with torch.no_grad():
            activation: Tensor = self.layers(images)
        return activation

    def pull_back(self, gradients: Tensor, images: Tensor) -> Tensor:
        """Return the vector-Jacobian products of the stem at images (N, C, H, W).

        Args:
            gradients: With respect to the stem's activation, (N, T, *).
            images: (N, C, H, W).

        Returns:
            Gradients with respect to the images, (N, T, C, H, W).
        """
        inputs = images.detach().requires_grad_()
        with torch.enable_grad():
            activation = self.layers(inputs)
        last = gradients.shape[1] - 1
        products = [
            torch.autograd.grad(activation, inputs, gradients[:, t], retain_graph=t < last)[0] for t in range(last + 1)
        ]
        return torch.stack(products, 1)


def split_affine_stem(network: fx.GraphModule) -> AffineStem | None:
    """Return the stem of a prepared network, or None if there is no convolution in it.

    It ends before the first operation that is not affine, or whose result more than one operation reads.
    """
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
