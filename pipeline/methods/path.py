"""Methods that integrate the gradient along a path from a baseline to the image."""

import torch
from torch import Tensor, nn

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
        super().__init__(model, internal_batch_size=internal_batch_size)
        self.nodes, self.weights = rule(quadrature, n_steps)
        self.baselines = baselines_of(baselines, self.view.preprocessing)
        self.multiply_by_inputs = multiply_by_inputs

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        starts = self.baselines(images, seeds)
        baseline_score = self.scores(starts, targets)
        maps = self._mean_gradients(images, starts.expand_as(images), targets)
        # completeness holds for the product, whatever is returned
        product = maps * (images - starts)[:, None]
        delta = product.flatten(2).sum(2) - (scores - baseline_score)
        evaluations = len(self.nodes) + 2  # F at the image and at the baseline
        return Attribution(product if self.multiply_by_inputs else maps, baseline_score, delta, evaluations)

    def _mean_gradients(self, images: Tensor, starts: Tensor, targets: Tensor) -> Tensor:
        """(N, T, C, H, W): the gradient's integral over the path."""
        steps = len(self.nodes)
        nodes, weights = (tensor.to(images)[:, None, None, None] for tensor in (self.nodes, self.weights))
        sums = images.new_zeros(targets.shape + images.shape[1:])

        def ask(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=images.device)
            image, step = pairs // steps, pairs % steps
            points = starts[image] + nodes[step] * (images[image] - starts[image])
            gradients = self.view.gradients(points, targets[image])[1]
            sums.index_add_(0, image, gradients * weights[step][:, None])

        self.line.walk(len(images) * steps, ask)
        return sums
