"""Parts of a traced network compute what the whole computes there, with its weights."""

import torch
from torch import fx, nn

from pipeline.engine.network.subgraph import subgraph
from pipeline.engine.network.trace import trace
from tests.networks import Residual, images


def nodes(graph: fx.GraphModule) -> dict[str, fx.Node]:
    return {str(node.target): node for node in graph.graph.nodes}


def test_parts_one_after_the_other_are_the_whole() -> None:
    network, x = Residual().double().eval(), images(2, 32, 32)
    graph = trace(network, "body")
    by_target, image = nodes(graph), next(iter(graph.graph.nodes))
    body, stem = by_target["body"], by_target["stem.2"]
    head = subgraph(graph, [image], [body, stem])
    rest = subgraph(graph, [body, stem])
    values = head(x)
    assert isinstance(values, tuple) and len(values) == 2
    torch.testing.assert_close(rest(*values), network(x))
    alone = subgraph(graph, [image], body)
    assert torch.equal(alone(x), values[0])


def test_only_its_own_modules_and_the_same_weights() -> None:
    graph = trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))
    part = subgraph(graph, [next(iter(graph.graph.nodes))], nodes(graph)["1"])
    assert [type(module) for module in part.modules() if not list(module.children())] == [nn.Linear, nn.ReLU]
    assert part.get_parameter("0.weight") is graph.get_parameter("0.weight")
