"""Whether a recorded computation is linear but for the nodes that follow a rule."""

import re
from typing import Any

from torch import Tensor

from pipeline.methods.rules import Elementwise, LogSumExp, MaxPool, Quadratic

RULED = frozenset(rule._backward_cls for rule in (Elementwise, LogSumExp, MaxPool, Quadratic))  # type: ignore[attr-defined]
LINEAR = frozenset(
    """AccumulateGrad Add AdaptiveAvgPool2D AdaptiveAvgPool3D Alias AsStrided AvgPool1D AvgPool2D AvgPool3D Cat Clone Col2Im
    ConstantPadNd Contiguous Copy CopySlices Cumsum Diagonal Expand Flip Gather Im2Col Index IndexSelect Mean
    MkldnnAdaptiveAvgPool2D MkldnnReshape Neg Permute PixelShuffle PixelUnshuffle ReflectionPad1D ReflectionPad2D
    Repeat RepeatInterleave ReplicationPad1D ReplicationPad2D Reshape ReshapeAlias Roll Rsub Select Slice Split
    SplitWithSizes Squeeze Stack Sub Sum T ToCopy Transpose Tril Triu Unbind Unfold UnsafeSplit UnsafeView Unsqueeze
    UpsampleBicubic2D UpsampleBilinear2D UpsampleLinear1D UpsampleNearest1D UpsampleNearest2D UpsampleNearestExact2D
    View Where""".split()
)
FACTORS = {
    **dict.fromkeys(("Bmm", "Convolution", "Dot", "Linear", "MkldnnLinear", "Mm", "Mul", "Mv"), (0, 1)),
    **dict.fromkeys(("Addbmm", "Addcmul", "Addmm", "Addmv", "Baddbmm"), (1, 2)),
}
"""Edges of which one may depend on the input."""
NORMS = frozenset(("CudnnBatchNorm", "MiopenBatchNorm", "NativeBatchNorm"))


def check_linear(output: Tensor) -> None:
    """Walks the autograd graph under ``output``.

    Args:
        output: Any tensor of the graph.

    Raises:
        ValueError: On the first node that is neither linear in what depends on the input nor ruled, by the operation's name.
    """
    waiting = [output.grad_fn]
    seen = set(waiting)
    while waiting:
        node: Any = waiting.pop()
        if node is None:
            continue
        if not _linear(node) and type(node) not in RULED:
            operation = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", _name(node)).lower()
            raise ValueError(
                f"DeepLift has no rule for {operation} with these inputs: its map would not be complete. "
                "Use another method, or build the network without it"
            )
        following = {following for following, _ in node.next_functions} - seen
        seen |= following
        waiting += following


def _linear(node: Any) -> bool:
    name = _name(node)
    dependent = [following is not None for following, _ in node.next_functions]
    if name in FACTORS:
        return sum(dependent[edge] for edge in FACTORS[name]) < 2
    if name == "Div":
        return not any(dependent[1:])
    if name in NORMS:
        return not node._saved_training and not any(dependent[1:])
    return name in LINEAR


def _name(node: Any) -> str:
    """``MulBackward0`` -> Mul."""
    return re.sub(r"Backwards?\d*$", "", type(node).__name__).lstrip("_")
