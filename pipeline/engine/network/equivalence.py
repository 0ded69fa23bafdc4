"""Comparison of a copy with its network: outputs, and vector-Jacobian products with respect to the input."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.engine.network.trace import NoCopy

Network = Callable[[Tensor], Tensor]
"""Points (P, *) -> outputs (P, ...)."""
KINKS = 0.1
"""Relative error (L2) of a float32 gradient up to which rounding may be the cause. A copy that sums in another order
moves a few activations over the kink of a ReLU, or to another winner of a max pooling: ResNet-50, DenseNet-121, VGG-16
and MobileNetV2 at 224 x 224 were off by 0.0004 to 0.013."""


class NotEquivalent(NoCopy):
    """A copy gives other outputs or gradients than its network."""


class Response(NamedTuple):
    """Outputs of a network at points, and the vector-Jacobian product of fixed random cotangents there.

    Attributes:
        outputs: (P, ...).
        vjp: (P, *), with respect to the points; zeros where the outputs do not depend on them.
    """

    outputs: Tensor
    vjp: Tensor


def response(network: Network, points: Tensor) -> Response:
    """Evaluate a network at points (P, *), forward and backward.

    Gradients are taken with respect to the points alone: none is added to ``parameter.grad``.

    Raises:
        TypeError: The network's output is no tensor of real numbers.
    """
    leaf = points.detach().requires_grad_()
    with torch.enable_grad():
        outputs = network(leaf.clone())  # a clone, since a network may work in place on its input
        if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
            raise TypeError("its output is no tensor of real numbers")
        vjp = torch.zeros_like(leaf)
        if outputs.requires_grad:
            cotangents = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(outputs)
            (vjp,) = torch.autograd.grad(outputs, leaf, cotangents, materialize_grads=True)
    return Response(outputs.detach(), vjp)


def tolerance(*dtypes: torch.dtype) -> float:
    """Return the share of the largest magnitude by which results may differ that were computed in these types."""
    return max(float(torch.finfo(dtype).eps ** 0.5) for dtype in dtypes)


def difference(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference, as a share of the largest magnitude of what is expected.

    Infinite where the shapes differ, where one of both is finite and the other is not, or where nothing is finite. What
    is not finite in both alike is left out.
    """
    if actual.shape != expected.shape:
        return torch.inf
    finite = expected.isfinite()
    if not torch.equal(actual.isfinite(), finite) or not finite.any():
        return torch.inf
    actual, expected = (values[finite].to("cpu", torch.float64) for values in (actual, expected))
    return float((actual - expected).abs().max() / expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny))


def require_same_outputs(actual: Tensor, expected: Tensor, points: Tensor) -> None:
    """Raise :class:`NotEquivalent` unless outputs for points are the same but for rounding."""
    differs = difference(actual, expected)
    if differs > tolerance(expected.dtype, points.dtype):
        raise NotEquivalent(f"its outputs differ from the network's by {differs:.1e} of the largest")


def require_same(actual: Response, expected: Response) -> None:
    """Raise :class:`NotEquivalent` unless outputs and gradients are the same but for rounding.

    For a copy that calls the same functions in the same order, as torch.fx has recorded them: it rounds as the network
    does, and no activation changes sides of a kink.
    """
    require_same_outputs(actual.outputs, expected.outputs, expected.vjp)
    differs = difference(actual.vjp, expected.vjp)
    if differs > tolerance(expected.vjp.dtype):
        raise NotEquivalent(f"its gradients differ from the network's by {differs:.1e} of the largest")


def require_near(actual: Response, expected: Response) -> None:
    """Raise :class:`NotEquivalent` unless outputs are the same but for rounding, and gradients but for kinks.

    For a copy that computes the same function in another way. In bfloat16 and float16 gradients of networks with kinks
    are rounding for the most part (0.1 to 1.5 apart, L2), and outputs alone are compared.
    """
    require_same_outputs(actual.outputs, expected.outputs, expected.vjp)
    allowed = {torch.float64: tolerance(torch.float64), torch.float32: KINKS}.get(expected.vjp.dtype)
    # The last point alone: in a constant region of an image, max pooling has several winners, and any may be chosen.
    one, other = (values.vjp[-1].to("cpu", torch.float64) for values in (actual, expected))
    if allowed is None or not other.isfinite().all():
        return
    differs = float((one - other).norm() / other.norm().clamp_min(torch.finfo(torch.float32).tiny))
    if not differs <= allowed:
        raise NotEquivalent(f"its gradients differ from the network's by {differs:.1e} (L2)")


def require_independent_rows(network: Network, batches: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Raise :class:`NotEquivalent` if the outputs of an image depend on the others in its batch.

    Args:
        network: Points (P, *) -> outputs (P, ...).
        batches: Points (P, *) each.
        expected: The network's outputs for each batch.
    """
    with torch.no_grad():
        for batch, outputs in zip(batches, expected, strict=True):
            alone = torch.cat([network(point.clone()) for point in batch.split(1)]) if len(batch) > 1 else outputs
            differs = difference(alone, outputs)
            if differs > tolerance(outputs.dtype, batch.dtype):
                raise NotEquivalent(
                    f"the network's outputs for an image change by {differs:.1e} with the other images of its batch, "
                    "so that maps depend on batch_size and internal_batch_size"
                )


def comparison_points(points: Tensor) -> Tensor:
    """Return the first of the points, and another one without constant regions, (2, C, H, W).

    The other is half of the first plus noise of its size: as far away as a point in the middle of a path, with no two
    equal values in a window of max pooling.
    """
    first = points[:1].detach().nan_to_num(0.0, 0.0, 0.0)
    noise = torch.randn(first.shape, generator=torch.Generator().manual_seed(0)).to(first)
    size = first.abs().mean()
    return torch.cat((first, first / 2 + noise * torch.where(size > 0, size, 1)))
