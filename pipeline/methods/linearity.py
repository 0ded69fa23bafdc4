"""Check that an autograd graph is linear but for the nodes that follow a rule."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from pipeline.methods.multipliers import ElementwiseRule, LogSumExpRule, MaxPoolRule, QuadraticRule

DEEPLIFT_RULE_NODES = frozenset(
    rule._backward_cls for rule in (ElementwiseRule, LogSumExpRule, MaxPoolRule, QuadraticRule)
)
LINEAR_NODES = frozenset(
    (
        *("AccumulateGrad", "Alias", "AsStrided", "Clone", "Contiguous", "Copy", "CopySlices", "ToCopy"),
        *("View", "UnsafeView", "Reshape", "ReshapeAlias", "MkldnnReshape", "Expand", "Squeeze", "Unsqueeze"),
        *("Permute", "Transpose", "T", "Flip", "Roll", "PixelShuffle", "PixelUnshuffle", "Im2Col", "Col2Im", "Unfold"),
        *("Select", "Slice", "Split", "SplitWithSizes", "UnsafeSplit", "Unbind", "Diagonal", "Tril", "Triu"),
        *("Index", "IndexSelect", "Gather", "Where", "Cat", "Stack", "Repeat", "RepeatInterleave"),
        *("Add", "Sub", "Rsub", "Neg", "Sum", "Mean", "Cumsum", "AvgPool1D", "AvgPool2D", "AvgPool3D"),
        *("AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "MkldnnAdaptiveAvgPool2D"),
        *("ConstantPadNd", "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad1D", "ReplicationPad2D"),
        *("UpsampleLinear1D", "UpsampleBilinear2D", "UpsampleBicubic2D"),
        *("UpsampleNearest1D", "UpsampleNearest2D", "UpsampleNearestExact2D"),
    )
)
"""Autograd nodes that are linear (but for a constant) in all edges together. An index or a condition may depend on
anything here: the mode refuses the functions that make one out of the image."""
FACTOR_EDGES = {
    **dict.fromkeys(("Bmm", "Convolution", "Dot", "Linear", "MkldnnLinear", "Mm", "Mul", "Mv"), (0, 1)),
    **dict.fromkeys(("Addbmm", "Addcmul", "Addmm", "Addmv", "Baddbmm"), (1, 2)),
}
"""Autograd nodes of products: the edges of their factors, of which at most one may depend on the input."""
BATCH_NORM_NODES = frozenset(("CudnnBatchNorm", "MiopenBatchNorm", "NativeBatchNorm"))


def check_linear(output: Tensor) -> None:
    """Check the autograd graph of a network's output for nodes that no rule of DeepLift covers.

    Raises:
        ValueError: On the first node that is neither linear in what depends on the input nor follows a rule; by name.
    """
    check_nodes(output, lambda node: type(node) in DEEPLIFT_RULE_NODES or is_linear(node), method="DeepLift")


def check_nodes(output: Tensor, allowed: Callable[[Any], bool], *, method: str) -> None:
    """Check every node of a tensor's autograd graph.

    Raises:
        ValueError: On the first node that is not allowed; by name.
    """
    for node in graph_nodes(output.grad_fn):
        if not allowed(node):  # named like the user's function: MaxPool2DWithIndices -> max_pool2d_with_indices
            operation = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=D)(?=W)", "_", operation_name(node)).lower()
            raise ValueError(
                f"{method} has no rule for {operation} with these inputs: its map would not be complete: "
                "use another method, or build the network without it"
            )


def graph_nodes(first: Any, *, through: Callable[[Any], bool] = lambda node: True) -> Iterator[Any]:
    """Iterate over a node of an autograd graph and those that it depends on, each once.

    Args:
        first: Where to begin.
        through: False for a node behind which the search does not continue.
    """
    waiting = [first]
    seen = set(waiting)
    while waiting:
        node: Any = waiting.pop()
        if node is None:  # an edge of a constant
            continue
        yield node
        if through(node):
            following = {following for following, _ in node.next_functions} - seen
            seen |= following
            waiting += following


def is_linear(node: Any) -> bool:
    """Return whether a node of an autograd graph is linear, but for a constant, in what depends on the input."""
    name = operation_name(node)
    dependent = [following is not None for following, _ in node.next_functions]
    if name in FACTOR_EDGES:
        return sum(dependent[edge] for edge in FACTOR_EDGES[name]) < 2
    if name == "Div":
        return not any(dependent[1:])
    if name in BATCH_NORM_NODES:
        return not node._saved_training and not any(dependent[1:])
    return name in LINEAR_NODES


def operation_name(node: Any) -> str:
    """Return the operation's name of an autograd node: Mul for ``MulBackward0``."""
    return re.sub(r"Backwards?\d*$", "", type(node).__name__).lstrip("_")
