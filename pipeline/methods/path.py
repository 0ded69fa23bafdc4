"""Methods that integrate the gradient along a path from a baseline to the image."""

import torch
from torch import Tensor, nn

from pipeline.methods.adaptive import TOL, Gradients, Integrals, integrate, precision_of
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import DEFAULT, rule
from pipeline.view import View


class IntegratedGradients(Method):
    """(x - b) times the mean gradient on the straight line from the baseline b to the image x.

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
        starts = self.baselines(images, seeds)
        baseline_score = self.scores(starts, targets)
        stem, way = self.view.stem(images), images - starts
        ends, begins = (stem(images), stem(starts)) if stem else (images, starts)
        begins = begins.expand_as(ends)

        def gradients(image: Tensor, places: Tensor) -> Tensor:
            shares = places.to(ends).reshape(-1, *[1] * (ends.ndim - 1))
            points = begins[image] + shares * (ends[image] - begins[image])
            return self.view.gradients(points, targets[image], stem=stem)[1]

        def to_maps(sums: Tensor, image: slice) -> Tensor:
            pulled = stem.pull_back(sums, images[image]) if stem else sums
            return pulled * way[image, None] if self.multiply_by_inputs else pulled

        if self.precision:
            found = integrate(self.line, gradients, to_maps, images=len(images), precision=self.precision)
        else:
            found = self._fixed(gradients, ends.new_zeros(targets.shape + ends.shape[1:]))
        maps = to_maps(found.sums, slice(None))
        # completeness holds for the product, whatever is returned
        product = maps if self.multiply_by_inputs else maps * way[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)
        evaluations = found.nodes + 2  # F at the image and at the baseline
        return Attribution(maps, baseline_score, delta, evaluations, found.error)

    def _fixed(self, gradients: Gradients, sums: Tensor) -> Integrals:
        """Adds the gradients of each image at the rule's nodes, by its weights, to the sums (N, T, *)."""
        steps = len(self.nodes)
        weights = self.weights.to(sums).reshape(-1, *[1] * (sums.ndim - 1))

        def ask(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop)
            image, step = (pairs // steps).to(sums.device), pairs % steps
            sums.index_add_(0, image, gradients(image, self.nodes[step]) * weights[step])

        self.line.walk(len(sums) * steps, ask)
        return Integrals(sums, steps)
