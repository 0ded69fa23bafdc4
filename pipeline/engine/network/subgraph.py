"""A part of a traced network as a network of its own, which shares the weights."""

from torch import fx


def subgraph(network: fx.GraphModule, inputs: list[fx.Node], outputs: list[fx.Node] | None) -> fx.GraphModule:
    """The part of ``network`` from ``inputs`` to the tuple of ``outputs``; None: of the network's own output."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in network.graph.nodes:
        if node.op == "output":
            ends = [copies[end] for end in outputs] if outputs else [copies[node.args[0]]]
            graph.output(tuple(ends))
        elif node.op == "placeholder" or node in copies:
            continue
        elif all(source in copies for source in node.all_input_nodes):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    part = fx.GraphModule(network, graph)
    part.graph.eliminate_dead_code()
    part.delete_all_unused_submodules()
    part.recompile()
    return part
