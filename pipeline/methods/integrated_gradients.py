"""Integrated Gradients: the integral of the gradient along the straight path from a baseline to the image."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.adaptive_quadrature import TOL, PathGradients, PathIntegrals, integrate, stopping_criterion
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import DEFAULT_QUADRATURE, quadrature_rule
from pipeline.methods.weighted_sums import WeightedSums
from pipeline.view import StraightPath, View


class IntegratedGradients(Method):
    """(x - b) times the mean gradient on the straight path from the baseline b to the image x, in pixels or a layer.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), equation 1.

    Args:
        model: A network in eval mode, or a view of one.
        n_steps: Nodes of the quadrature rule; ``auto`` for as many as ``tol`` needs, at most 1024.
        quadrature: ``gausslegendre`` or ``riemann_left``, ``_middle``, ``_right``, ``_trapezoid``; for fixed nodes.
        nodes: ``fixed``, the same for all images, or ``adaptive``, placed by how each image's gradients change (see
            :mod:`~pipeline.methods.strata`), which ``auto`` implies. Targets of one image share their nodes.
        tol: For ``auto``: tolerance for the estimated relative error (L2) of the map, for each target of an image.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        multiply_by_inputs: False for the mean gradient alone.
        internal_batch_size: Points in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")

    def __init__(  # noqa: PLR0913 - the options of the method
        self,
        model: nn.Module | View,
        *,
        n_steps: int | str = 50,
        quadrature: str = DEFAULT_QUADRATURE,
        nodes: str = "fixed",
        tol: float = TOL,
        baselines: BaselineLike = 0,
        multiply_by_inputs: bool = True,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        self.stopping = stopping_criterion(n_steps, nodes, tol)
        if self.stopping and quadrature != DEFAULT_QUADRATURE:
            raise ValueError(f"quadrature={quadrature}: adaptive nodes have a rule of their own; leave quadrature out")
        if not self.stopping:
            self.nodes, self.weights = quadrature_rule(quadrature, n_steps)
        self.baselines = baselines_of(baselines, self.view.preprocessing)
        self.multiply_by_inputs = multiply_by_inputs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        path = self.view.straight_path(images, self.baselines(images, seeds), self.in_chunks)
        baseline_score = self._baseline_scores(path, targets)
        integrals = self._integrate(path, targets)
        maps = path.pull_back(integrals.sums, slice(None))
        product = maps * path.differences[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)  # completeness holds for the product
        evaluations = integrals.nodes + 2  # F at the image and at the baseline
        chosen = product if self.multiply_by_inputs else maps
        return Attribution(chosen, baseline_score, delta, evaluations, integrals.error)

    def _baseline_scores(self, path: StraightPath, targets: Tensor) -> Tensor:
        """Evaluate F at the beginning of each path, (N, T); at a beginning that all images share, once."""

        def evaluate_chunk(part: slice) -> tuple[Tensor, ...]:
            points = path.starts[part]
            image = torch.arange(part.start, part.start + len(points), device=points.device)
            return (self.view.outputs(path.logits(points, image)),)

        with torch.no_grad():
            (outputs,) = self.in_chunks(len(path.starts), evaluate_chunk)
        return outputs.expand(len(targets), -1).gather(1, targets)

    def _integrate(self, path: StraightPath, targets: Tensor) -> PathIntegrals:
        """Integrate the gradients over each path."""
        baselines, directions = path.starts, path.ends - path.starts  # (1 or N, *), (N, *)

        def gradients(image: Tensor, positions: Tensor) -> Tensor:
            image = image.to(directions.device)
            positions = positions.to(directions).reshape(-1, *[1] * (directions.ndim - 1))  # (P, 1, ...)
            points = torch.addcmul(baselines[image] if len(baselines) > 1 else baselines, positions, directions[image])
            return self.view.gradients_of(lambda inner: path.logits(inner, image), points, targets[image]).gradients

        def to_maps(sums: Tensor, which: slice) -> Tensor:
            maps = path.pull_back(sums, which)
            return maps * path.differences[which, None] if self.multiply_by_inputs else maps

        if self.stopping:
            return integrate(self.evaluator, gradients, to_maps, images=len(directions), stopping=self.stopping)
        return self._integrate_fixed(gradients, len(directions))

    def _integrate_fixed(self, gradients: PathGradients, images: int) -> PathIntegrals:
        """Sum each image's gradients at the nodes of the quadrature rule with its weights."""
        steps, sums = len(self.nodes), WeightedSums(images)

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop)  # of an image and a node, all nodes of an image together
            image, step = pairs // steps, pairs % steps
            sums.add(image, gradients(image, self.nodes[step]), self.weights[step])

        self.evaluator.evaluate(images * steps, evaluate_chunk)
        return PathIntegrals(sums.result(), steps)
