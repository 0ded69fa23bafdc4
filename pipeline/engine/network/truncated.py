"""A hidden neuron as a network of its own, which ends there."""

from collections.abc import Sequence

from torch import Tensor, fx, nn

from pipeline.engine.network.cut import runs_not_once
from pipeline.engine.network.hooks import forward_until
from pipeline.engine.network.prepare import CannotTrace, graph_of
from pipeline.engine.network.subgraph import subgraph

NeuronIndex = Sequence[int | None]
"""Along each axis of what the layer gives for an image, which value; None: the sum over all of them."""


class NeuronNetwork(nn.Module):
    """(P, C, H, W) -> (P, 1), the value of a neuron. What comes after its layer does not run.

    Args:
        model: The network; its weights are shared.
        layer: Name of the layer.
        neuron: The place in it.

    Raises:
        ValueError: If torch.fx sees that the layer does not run exactly once.
    """

    def __init__(self, model: nn.Module, layer: str, neuron: NeuronIndex) -> None:
        super().__init__()
        self.head = truncate(model, layer)
        self.place = (slice(None), None, *(slice(None) if axis is None else axis for axis in neuron))
        self.training = model.training

    def forward(self, points: Tensor) -> Tensor:
        values: Tensor = self.head(points)
        return values[self.place].flatten(1).sum(1, keepdim=True)


class TruncatedByHook(nn.Module):
    """The network up to a layer, left as soon as that has run.

    Args:
        model: The network.
        layer: The module.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, points: Tensor) -> Tensor:
        return forward_until(self.model, self.layer, points)


def truncate(model: nn.Module, layer: str) -> nn.Module:
    """The network up to a layer: (P, C, H, W) -> (P, *), as a graph where torch.fx can follow."""
    try:
        graph = graph_of(model, layer)
    except CannotTrace:
        return TruncatedByHook(model, model.get_submodule(layer))
    nodes = list(graph.graph.nodes)
    runs = [node for node in nodes if node.op == "call_module" and node.target == layer]
    if len(runs) != 1:
        raise ValueError(runs_not_once(layer, len(runs)))
    images = next(node for node in nodes if node.op == "placeholder")
    part: fx.GraphModule = subgraph(graph, [images], [runs[0]])
    output = next(node for node in part.graph.nodes if node.op == "output")
    output.args = (output.args[0][0],)
    part.recompile()
    return part
