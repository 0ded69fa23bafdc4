"""Part of a traced network as a network of its own, which shares the weights."""

from torch import fx


def subgraph(
    network: fx.GraphModule, inputs: list[fx.Node], outputs: fx.Node | list[fx.Node] | None = None
) -> fx.GraphModule:
    """Return the part of ``network`` from ``inputs`` to ``outputs``.

    Args:
        network: The traced network.
        inputs: Nodes whose values the part takes, in this order.
        outputs: The node whose value it returns; a list of nodes: a tuple; None: what the network returns.
    """
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in network.graph.nodes:
        if node.op == "output":
            ends = node.args[0] if outputs is None else outputs
            ends = tuple(ends) if isinstance(ends, list) else ends
            graph.output(fx.map_arg(ends, copies.__getitem__))
        elif node.op == "placeholder" or node in copies:
            continue
        elif all(source in copies for source in node.all_input_nodes):  # constants too, which have no source
            copies[node] = graph.node_copy(node, copies.__getitem__)
    part = fx.GraphModule(network, graph)
    part.graph.eliminate_dead_code()
    part.delete_all_unused_submodules()
    part.recompile()
    return part
