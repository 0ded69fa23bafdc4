"""Methods that integrate the gradient along a path from a baseline to the image."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import rule
from pipeline.view import Segment, View


class IntegratedGradients(Method):
    """(x - b) times the mean gradient on the straight line from the baseline b to the image x, in pixels or a layer.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), equation 1.

    Args:
        model: A network in eval mode, or a view of one.
        n_steps: Nodes of the quadrature rule.
        quadrature: ``gausslegendre`` or ``riemann_left``, ``_middle``, ``_right``, ``_trapezoid``.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        multiply_by_inputs: Without it, the mean gradient alone.
        internal_batch_size: Points in one pass of the network; None finds the fastest.

    Raises:
        ValueError: If an option is out of range.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")

    def __init__(
        self,
        model: nn.Module | View,
        *,
        n_steps: int = 50,
        quadrature: str = "gausslegendre",
        baselines: BaselineLike = 0,
        multiply_by_inputs: bool = True,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        self.nodes, self.weights = rule(quadrature, n_steps)
        self.baselines = baselines_of(baselines, self.view.preprocessing)
        self.multiply_by_inputs = multiply_by_inputs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        segment = self.view.segment(images, self.baselines(images, seeds), self.in_chunks)
        baseline_score = self._start_scores(segment, targets)
        maps = segment.pull_back(self._mean_gradients(segment, targets))
        product = maps * segment.differences[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)  # completeness holds for the product
        evaluations = len(self.nodes) + 2  # F at the image and at the baseline
        return Attribution(product if self.multiply_by_inputs else maps, baseline_score, delta, evaluations)

    def _start_scores(self, segment: Segment, targets: Tensor) -> Tensor:
        """F where the line begins, (N, T); of a start that all images share, once."""

        def ask(part: slice) -> tuple[Tensor, ...]:
            points = segment.starts[part]
            image = torch.arange(part.start, part.start + len(points), device=points.device)
            return (self.view.outputs(segment.logits(points, image)),)

        with torch.no_grad():
            (outputs,) = self.in_chunks(len(segment.starts), ask)
        return outputs.expand(len(targets), -1).gather(1, targets)

    def _mean_gradients(self, segment: Segment, targets: Tensor) -> Tensor:
        """The gradient's integral over the line, (N, T, *)."""
        steps, ends, starts = len(self.nodes), segment.ends, segment.starts.expand_as(segment.ends)
        spread = (slice(None), *[None] * (ends.ndim - 1))
        nodes, weights = (tensor.to(ends)[spread] for tensor in (self.nodes, self.weights))
        sums = ends.new_zeros(targets.shape + ends.shape[1:])

        def ask(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=ends.device)
            image, step = pairs // steps, pairs % steps
            points = starts[image] + nodes[step] * (ends[image] - starts[image])
            found = self.view.gradients_of(lambda points: segment.logits(points, image), points, targets[image])
            sums.index_add_(0, image, found.gradients * weights[step][:, None])

        self.line.walk(len(ends) * steps, ask)
        return sums
