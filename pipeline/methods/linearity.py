"""Whether a recorded computation is linear but for the nodes that follow a rule."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from pipeline.methods.multipliers import Elementwise, LogSumExp, MaxPool, Quadratic

RULED = frozenset(rule._backward_cls for rule in (Elementwise, LogSumExp, MaxPool, Quadratic))
LINEAR = frozenset(
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
"""Autograd nodes that are linear (but for a constant) in all edges together. What an index or a condition depends on is
no matter here: the mode refuses the functions that make such out of the image."""
FACTORS = {
    **dict.fromkeys(("Bmm", "Convolution", "Dot", "Linear", "MkldnnLinear", "Mm", "Mul", "Mv"), (0, 1)),
    **dict.fromkeys(("Addbmm", "Addcmul", "Addmm", "Addmv", "Baddbmm"), (1, 2)),
}
"""Edges of which one may depend on the input."""
NORMS = frozenset(("CudnnBatchNorm", "MiopenBatchNorm", "NativeBatchNorm"))


def check_linear(output: Tensor) -> None:
    """Holds the autograd graph under any tensor of it against DeepLift's rules.

    Raises:
        ValueError: On the first node that is neither linear in what depends on the input nor follows a rule; by name.
    """
    check_nodes(output, lambda node: type(node) in RULED or linear(node), method="DeepLift")


def check_nodes(output: Tensor, allowed: Callable[[Any], bool], *, method: str) -> None:
    """Walks the autograd graph under a tensor.

    Raises:
        ValueError: On the first node that is not allowed; by name.
    """
    for node in nodes(output.grad_fn):
        if not allowed(node):
            operation = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=D)(?=W)", "_", name_of(node)).lower()
            raise ValueError(
                f"{method} has no rule for {operation} with these inputs: its map would not be complete: "
                "use another method, or build the network without it"
            )


def nodes(first: Any, *, through: Callable[[Any], bool] = lambda node: True) -> Iterator[Any]:
    """A node of an autograd graph and those that it depends on, each once; not on by way of one not to go through."""
    waiting = [first]
    seen = set(waiting)
    while waiting:
        node: Any = waiting.pop()
        if node is None:
            continue
        yield node
        if through(node):
            following = {following for following, _ in node.next_functions} - seen
            seen |= following
            waiting += following


def linear(node: Any) -> bool:
    """Whether a node of an autograd graph is linear, but for a constant, in what depends on the input."""
    name = name_of(node)
    dependent = [following is not None for following, _ in node.next_functions]
    if name in FACTORS:
        return sum(dependent[edge] for edge in FACTORS[name]) < 2
    if name == "Div":
        return not any(dependent[1:])
    if name in NORMS:
        return not node._saved_training and not any(dependent[1:])
    return name in LINEAR


def name_of(node: Any) -> str:
    """``MulBackward0`` -> Mul."""
    return re.sub(r"Backwards?\d*$", "", type(node).__name__).lstrip("_")
