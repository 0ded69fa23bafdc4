"""Hidden neuron as a network, truncated behind the neuron's layer."""

from collections.abc import Sequence

from torch import Tensor, fx, nn

from pipeline.engine.network.hooks import forward_until, runs_not_once
from pipeline.engine.network.subgraph import subgraph
from pipeline.engine.network.trace import CannotTrace, trace

NeuronIndex = Sequence[int | None]
"""Index along each axis of a layer's values for one image; None: the sum over the axis."""


class NeuronNetwork(nn.Module):
    """(P, C, H, W) -> (P, 1), the value of a neuron. What comes after its layer does not run.

    torch.fx cannot record that a forward pass ends early. Therefore, while it traces this network, the graph of the
    part up to the layer stands in for that part; a copy that is made so is compared with the network, as any other.

    Args:
        model: The network; its weights are shared.
        layer: Name of the layer.
        neuron: Index of the neuron in it.

    Raises:
        ValueError: If the graph of the network runs the layer more than once.
    """

    def __init__(self, model: nn.Module, layer: str, neuron: NeuronIndex) -> None:
        super().__init__()
        self.until_layer = TruncatedByHook(model, model.get_submodule(layer))
        self.traceable = _graph_until(model, layer)
        self.index = (slice(None), None, *(slice(None) if axis is None else axis for axis in neuron))
        self.training = model.training

    def forward(self, points: Tensor) -> Tensor:
        until_layer = self.traceable if isinstance(points, fx.Proxy) and self.traceable else self.until_layer
        values: Tensor = until_layer(points)
        return values[self.index].flatten(1).sum(1, keepdim=True)


class TruncatedByHook(nn.Module):
    """The network up to a layer: (P, C, H, W) -> (P, *); its forward pass ends as soon as the layer has run.

    Args:
        model: The network.
        layer: The module.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, points: Tensor) -> Tensor:
        return forward_until(self.model, self.layer, points)


def _graph_until(model: nn.Module, layer: str) -> fx.GraphModule | None:
    """Return the graph of the network up to a layer, or None where torch.fx cannot record it."""
    try:
        graph = trace(model, layer, share_weights=True)
    except CannotTrace:
        return None
    runs = [node for node in graph.graph.nodes if node.op == "call_module" and node.target == layer]
    if len(runs) > 1:
        raise ValueError(runs_not_once(layer, len(runs)))
    images = next(node for node in graph.graph.nodes if node.op == "placeholder")
    return subgraph(graph, [images], runs[0]) if runs else None
