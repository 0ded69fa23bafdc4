"""Methods that integrate the gradient along a path from a baseline to the image."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.adaptive import TOL, Gradients, Integrals, integrate, precision_of
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import DEFAULT, rule
from pipeline.methods.weighted_sums import WeightedSums
from pipeline.view import StraightPath, View


class IntegratedGradients(Method):
    """(x - b) times the mean gradient on the straight line from the baseline b to the image x, in pixels or a layer.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), equation 1.

    Args:
        model: A network in eval mode, or a view of one.
        n_steps: Nodes of the quadrature rule; ``auto`` for as many as ``tol`` needs, at most 1024.
        quadrature: ``gausslegendre`` or ``riemann_left``, ``_middle``, ``_right``, ``_trapezoid``; of fixed nodes.
        nodes: ``fixed``, the same for all images, or ``adaptive``, placed by how each image's gradients change (see
            :mod:`~pipeline.methods.strata`), which ``auto`` implies. Targets of one image share their nodes.
        tol: Of ``auto``: the estimated relative error (L2) of the map that is enough, for each target of an image.
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
        n_steps: int | str = 50,
        quadrature: str = DEFAULT,
        nodes: str = "fixed",
        tol: float = TOL,
        baselines: BaselineLike = 0,
        multiply_by_inputs: bool = True,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        self.precision = precision_of(n_steps, nodes, tol)
        if self.precision and quadrature != DEFAULT:
            raise ValueError(f"quadrature={quadrature}: adaptive nodes have a rule of their own")
        if not self.precision:
            self.nodes, self.weights = rule(quadrature, n_steps)
        self.baselines = baselines_of(baselines, self.view.preprocessing)
        self.multiply_by_inputs = multiply_by_inputs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        segment = self.view.segment(images, self.baselines(images, seeds), self.in_chunks)
        baseline_score = self._start_scores(segment, targets)
        found = self._integrals(segment, targets)
        maps = segment.pull_back(found.sums, slice(None))
        product = maps * segment.differences[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)  # completeness holds for the product
        evaluations = found.nodes + 2  # F at the image and at the baseline
        chosen = product if self.multiply_by_inputs else maps
        return Attribution(chosen, baseline_score, delta, evaluations, found.error)

    def _start_scores(self, segment: StraightPath, targets: Tensor) -> Tensor:
        """F where the line begins, (N, T); of a start that all images share, once."""

        def evaluate_chunk(part: slice) -> tuple[Tensor, ...]:
            points = segment.starts[part]
            image = torch.arange(part.start, part.start + len(points), device=points.device)
            return (self.view.outputs(segment.logits(points, image)),)

        with torch.no_grad():
            (outputs,) = self.in_chunks(len(segment.starts), evaluate_chunk)
        return outputs.expand(len(targets), -1).gather(1, targets)

    def _integrals(self, segment: StraightPath, targets: Tensor) -> Integrals:
        """The gradients' integrals over the lines."""
        starts, line = segment.starts, segment.ends - segment.starts

        def gradients(image: Tensor, places: Tensor) -> Tensor:
            image, places = image.to(line.device), places.to(line).reshape(-1, *[1] * (line.ndim - 1))
            points = torch.addcmul(starts[image] if len(starts) > 1 else starts, places, line[image])
            return self.view.gradients_of(lambda inner: segment.logits(inner, image), points, targets[image]).gradients

        def to_maps(sums: Tensor, which: slice) -> Tensor:
            maps = segment.pull_back(sums, which)
            return maps * segment.differences[which, None] if self.multiply_by_inputs else maps

        if self.precision:
            return integrate(self.evaluator, gradients, to_maps, images=len(line), precision=self.precision)
        return self._fixed(gradients, len(line))

    def _fixed(self, gradients: Gradients, images: int) -> Integrals:
        """Each image's gradients at the rule's nodes, by its weights."""
        steps, sums = len(self.nodes), WeightedSums(images)

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop)
            image, step = pairs // steps, pairs % steps
            sums.add(image, gradients(image, self.nodes[step]), self.weights[step])

        self.evaluator.evaluate(images * steps, evaluate_chunk)
        return Integrals(sums.result(), steps)
