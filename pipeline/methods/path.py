"""Methods that integrate the gradient along a path from a baseline to the image."""

import torch
from torch import Tensor, nn

from pipeline.engine.stem import Stem
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import rule
from pipeline.view import View


class IntegratedGradients(Method):
    """(x - b) times the mean gradient on the straight line from the baseline b to the image x.

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
        starts = self.baselines(images, seeds)
        baseline_score = self.scores(starts, targets)
        stem = self.view.stem(images)
        if stem is None:
            maps = self._mean_gradients(images, starts, targets, stem)
        else:
            maps = stem.pull_back(self._mean_gradients(stem(images), stem(starts), targets, stem), images)
        # completeness holds for the product, whatever is returned
        product = maps * (images - starts)[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)
        evaluations = len(self.nodes) + 2  # F at the image and at the baseline
        return Attribution(product if self.multiply_by_inputs else maps, baseline_score, delta, evaluations)

    def _mean_gradients(self, ends: Tensor, starts: Tensor, targets: Tensor, stem: Stem | None) -> Tensor:
        """The gradient's integral over the path from starts (1 or N, *) to ends (N, *), in pixels or behind the stem.

        Returns:
            (N, T, *).
        """
        steps, starts = len(self.nodes), starts.expand_as(ends)
        nodes, weights = (tensor.to(ends)[:, None, None, None] for tensor in (self.nodes, self.weights))
        sums = ends.new_zeros(targets.shape + ends.shape[1:])

        def ask(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=ends.device)
            image, step = pairs // steps, pairs % steps
            points = starts[image] + nodes[step] * (ends[image] - starts[image])
            gradients = self.view.gradients(points, targets[image], stem=stem)[1]
            sums.index_add_(0, image, gradients * weights[step][:, None])

        self.line.walk(len(ends) * steps, ask)
        return sums
