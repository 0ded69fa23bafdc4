"""A network in two at a layer: what runs up to it, and what goes on from its values."""

import logging
from typing import Protocol

import torch
from torch import Tensor, fx, nn

from pipeline.engine.network.hooks import find_layer, forward_until, output_as_leaf, output_replaced
from pipeline.engine.network.prepare import CannotTrace, fold, trace, without_in_place
from pipeline.engine.network.state import hooked, weights_state
from pipeline.engine.network.subgraph import subgraph

log = logging.getLogger(__name__)

Entered = tuple[Tensor, tuple[Tensor, ...]]


class Cut(Protocol):
    """A network in two."""

    def enter(self, images: Tensor) -> Entered:
        """What (N, C, H, W) are in the layer (N, *), and what else of each image the rest needs, (N, ...) each."""

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        """The network's outputs from the layer's values (P, *) and the others (P, ...) on."""


class GraphCut:
    """The cut through a traced network: nothing before the layer runs again for other values of the layer.

    Args:
        network: With the layer as one node; nothing works in place.
        layer: Its name.

    Raises:
        ValueError: If the layer does not run exactly once.
        CannotTrace: If the network gives anything but a tensor.
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
        read = {source for node in after - {runs[0]} for source in node.all_input_nodes}
        others = [node for node in nodes if node in (read & before) - after]
        self._head = subgraph(network, [images], [runs[0], *others])
        self._rest = subgraph(network, [runs[0], *others], None)

    def enter(self, images: Tensor) -> Entered:
        with torch.no_grad():
            values, *others = self._head(images)
        return values, tuple(others)

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        outputs: Tensor = self._rest(values, *others)[0]
        return outputs


class HookCut:
    """The cut through any network: all of it runs for other values of the layer, which take the place of its own.

    Args:
        model: The network.
        layer: The module.
    """

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        self.model, self.layer = model, layer

    def enter(self, images: Tensor) -> Entered:
        with torch.no_grad():
            return forward_until(self.model, self.layer, images), (images,)

    def rest(self, values: Tensor, *others: Tensor) -> Tensor:
        with output_replaced(self.layer, values):
            outputs: Tensor = self.model(*others)
        return outputs


class CutNetwork:
    """A model's cut at a layer: made when it is first asked, checked against the model, made anew when that changed.

    Args:
        model: (P, C, H, W) -> outputs.
        layer: A dotted name such as ``layer3.1.conv2``, or the module.
        prepare: Fold batch norms that the layer does not see.

    Raises:
        ValueError: If the network has no such layer.
    """

    def __init__(self, model: nn.Module, layer: str | nn.Module, *, prepare: bool) -> None:
        self.model, self.prepare = model, prepare
        self.name, self.layer = find_layer(model, layer)
        self._cut: Cut | None = None
        self._state: list[tuple[int, int]] | None = None

    def of(self, images: Tensor) -> Cut:
        """The cut for images (N, C, H, W) like these.

        Raises:
            ValueError: If the layer does not run exactly once, gives no tensor, or not one value of each for an image.
        """
        if self.model.training or hooked(self.model):
            return HookCut(self.model, self.layer)
        state = weights_state(self.model)
        if self._cut is None or state != self._state:
            self._cut, self._state = self._made(images[:1].repeat(2, 1, 1, 1)), state
        return self._cut

    def _made(self, pair: Tensor) -> Cut:
        whole = HookCut(self.model, self.layer)
        expected, outputs = self._asked_once(pair)
        try:
            graph = trace(self.model, self.name)
            graph = fold(graph, self.name).to(memory_format=torch.channels_last) if self.prepare else graph
            parts = GraphCut(without_in_place(graph), self.name)
            values, others = parts.enter(pair)
        except CannotTrace as reason:
            log.debug("the network is cut by hooks: %s", reason)
            return whole
        if not all(isinstance(other, Tensor) and len(other) == len(pair) for other in others):
            log.debug("the network is cut by hooks: what passes the layer by is not one tensor for each image")
            return whole
        with torch.no_grad():
            off = max(_difference(values, expected), _difference(parts.rest(values, *others), outputs))
        if off > torch.finfo(pair.dtype).eps ** 0.5:
            log.warning("the network cut at %s differs from the network by %.1e: cut by hooks instead", self.name, off)
            return whole
        return parts

    def _asked_once(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's values and the network's outputs."""
        with torch.no_grad(), output_as_leaf(self.layer) as leaves:
            outputs = self.model(images)
        if len(leaves) != 1:
            raise ValueError(runs_not_once(self.name, len(leaves)))
        if len(leaves[0]) != len(images):
            raise ValueError(f"layer: {self.name} cuts the image into pieces; choose the layer around it")
        return leaves[0].detach(), outputs


def runs_not_once(layer: str, times: int) -> str:
    """What is wrong with a layer that runs another number of times than once."""
    return f"layer: {layer} runs {times} times for one image; choose one that runs once"


def _depending(nodes: list[fx.Node], first: fx.Node) -> set[fx.Node]:
    """``first`` and all that is computed from it."""
    found = {first}
    for node in nodes:
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def _difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    tiny = torch.finfo(expected.dtype).tiny
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(tiny))
