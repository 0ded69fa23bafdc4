"""Cut of a network at a layer: the part up to it, and the part that computes the outputs from its activation."""

from functools import partial
from typing import Protocol

import torch
from torch import Tensor, fx, nn

from pipeline.engine.network.equivalence import (
    Response,
    require_independent_rows,
    require_near,
    require_same,
    require_same_outputs,
    response,
)
from pipeline.engine.network.guarded import Batches, GuardedCopy, hooked
from pipeline.engine.network.hooks import (
    find_layer,
    forward_until,
    output_replaced,
    require_one_run,
    runs_not_once,
)
from pipeline.engine.network.prepare import fold, to_channels_last, without_in_place
from pipeline.engine.network.subgraph import subgraph
from pipeline.engine.network.trace import CannotTrace, NoCopy, trace

Entered = tuple[Tensor, tuple[Tensor, ...]]


class Cut(Protocol):
    """A network in two parts."""

    def enter(self, images: Tensor) -> Entered:
        """Values of the layer (N, *) for images (N, C, H, W), and what else the rest needs of each, (N, ...) each."""

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        """The network's outputs for values of the layer (P, *) and the others (P, ...)."""


class GraphCut:
    """The cut through a traced network: nothing before the layer runs again for other values of the layer.

    Args:
        network: With the layer as one node; nothing works in place.
        layer: Its name.

    Raises:
        ValueError: If the layer does not run exactly once.
        CannotTrace: If the network's output is no tensor.
    """

    def __init__(self, network: fx.GraphModule, layer: str) -> None:
        nodes = list(network.graph.nodes)
        runs = [node for node in nodes if node.op == "call_module" and node.target == layer]
        if len(runs) != 1:
            raise ValueError(runs_not_once(layer, len(runs)))
        if not isinstance(nodes[-1].args[0], fx.Node):
            raise CannotTrace("its output is no tensor")
        images = next(node for node in nodes if node.op == "placeholder")
        after, before = _depending(nodes, runs[0]), _depending(nodes, images)
        # What the second part reads of the first: a skip connection around the layer, for example.
        read = {source for node in after - {runs[0]} for source in node.all_input_nodes}
        others = [node for node in nodes if node in (read & before) - after]
        self._head = subgraph(network, [images], [runs[0], *others])
        self._rest = subgraph(network, [runs[0], *others])

    def enter(self, images: Tensor) -> Entered:
        with torch.no_grad():
            values, *others = self._head(images)
        return values, tuple(others)

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        outputs: Tensor = self._rest(values, *others)
        return outputs


class HookCut:
    """The cut through any network: all of it runs for other values of the layer, which replace the layer's own.

    It runs on copies of the images, since a network may work in place on its input.

    Args:
        model: The network.
        layer: The module.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        self.model, self.layer = model, layer

    def enter(self, images: Tensor) -> Entered:
        with torch.no_grad():
            return forward_until(self.model, self.layer, images.clone()), (images,)

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        with output_replaced(self.layer, values):
            outputs: Tensor = self.model(*(other.clone() for other in others))
        return outputs


class CutNetwork:
    """A model's cut at a layer: through its graph where that is equivalent to the model, else by hooks.

    Args:
        model: (P, C, H, W) -> outputs.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        prepare: Fold batch norms, except those whose values the layer is or reads.

    Raises:
        ValueError: If the network has no such layer.
    """

    def __init__(self, model: nn.Module, layer: str | nn.Module, *, prepare: bool) -> None:
        self.model, self.prepare = model, prepare
        self.name, self.layer = find_layer(model, layer)
        self._copy = GuardedCopy[GraphCut](model, otherwise=f"the network is cut at {self.name} by hooks")
        self._runs_once = False

    def of(self, images: Tensor) -> Cut:
        """Return the cut for images (N, C, H, W) like these.

        Raises:
            ValueError: If the layer does not run exactly once, or its output is no tensor with a row for each image.
        """
        whole = HookCut(self.model, self.layer)
        if self.model.training or hooked(self.model):
            return whole
        if not self._runs_once:
            require_one_run(self.model, self.name, self.layer, images[:1])
            self._runs_once = True
        return self._copy.get(images, self._built) or whole

    def _built(self, batches: Batches) -> GraphCut:
        whole = HookCut(self.model, self.layer)
        graph = without_in_place(trace(self.model, self.name))
        cut = GraphCut(graph, self.name)
        entered = [whole.enter(batch) for batch in batches]
        expected = [response(partial(_rest, whole, others), values) for values, others in entered]
        for batch, (values, _), own in zip(batches, entered, expected, strict=True):
            require_same(_response(cut, batch, values), own)
        require_independent_rows(self.model, batches, [own.outputs for own in expected])
        if not self.prepare:
            return cut
        cut = GraphCut(to_channels_last(fold(graph, self.name)), self.name)
        require_near(_response(cut, batches[-1], entered[-1][0]), expected[-1])
        return cut


def _response(cut: Cut, images: Tensor, expected: Tensor) -> Response:
    """Response of the cut's second part to its first part's values, which are ``expected``."""
    values, others = cut.enter(images)
    if not all(isinstance(other, Tensor) and len(other) == len(images) for other in others):
        raise NoCopy("what passes the layer by is not one tensor for each image")
    require_same_outputs(values, expected, images)
    return response(partial(_rest, cut, others), values)


def _rest(cut: Cut, others: tuple[Tensor, ...], values: Tensor) -> Tensor:
    return cut.rest(values, *others)


def _depending(nodes: list[fx.Node], first: fx.Node) -> set[fx.Node]:
    """``first`` and all that is computed from it."""
    depending = {first}
    for node in nodes:
        if not depending.isdisjoint(node.all_input_nodes):
            depending.add(node)
    return depending
