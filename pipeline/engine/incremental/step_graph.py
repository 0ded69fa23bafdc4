"""The first operations of a network that can be recomputed in part, with their steps."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.passes.shape_prop import ShapeProp

from pipeline.engine.incremental.operations import Shapes, maps_read, step_of
from pipeline.engine.incremental.steps import Step


@dataclass(frozen=True)
class StepGraph:
    """A prepared network, and the steps of those operations that depend on the image through steps alone.

    Attributes:
        network: The whole network.
        image: The node of its input.
        shapes: Of its nodes that are maps.
        steps: In the order of the network.
    """

    network: fx.GraphModule
    image: fx.Node
    shapes: Shapes
    steps: dict[fx.Node, Step]

    @classmethod
    def of(cls, network: fx.GraphModule, example: Tensor) -> "StepGraph":
        """Find the steps of a network for images like ``example``, (1, C, H, W)."""
        with torch.inference_mode():
            ShapeProp(network).propagate(example)  # stores the shapes in the nodes
        metas = {node: node.meta.get("tensor_meta") for node in network.graph.nodes if node.op != "get_attr"}
        shapes = {node: meta.shape for node, meta in metas.items() if _is_map(meta)}
        image = next(node for node in network.graph.nodes if node.op == "placeholder")
        steps: dict[fx.Node, Step] = {}
        for node in network.graph.nodes:
            known = all(source in steps or source is image for source in maps_read(node))
            step = step_of(node, shapes, network) if known else None
            if step is not None:
                steps[node] = step
        return cls(network, image, shapes, steps)


def _is_map(meta: Any) -> bool:
    """Return whether a node's value is one tensor of four axes; of several tensors, ``meta`` is a tuple of theirs."""
    return isinstance(meta, tuple) and isinstance(meta[0], torch.Size) and len(meta[0]) == 4
