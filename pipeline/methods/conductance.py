"""Layer conductance and internal influence: gradients at a layer along the straight path in pixels."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.quadrature import quadrature_rule
from pipeline.methods.weighted_sums import WeightedSums
from pipeline.view import Gradients, View

AddGradients = Callable[[Tensor, Tensor, Gradients], None]
"""Takes the image (P,) and the node (P,) that each point belongs to, and the gradients there."""


class _LayerAlongPath(Method):
    """Evaluates gradients at a layer for the nodes of the straight path from the baseline to the image, in pixels.

    Raises:
        ValueError: If an option is out of range, or ``model`` is no view of a layer.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("layer",)
    extra_nodes: ClassVar[int] = 0
    """Nodes in addition to ``n_steps``."""

    def __init__(
        self,
        model: nn.Module | View,
        *,
        n_steps: int = 50,
        quadrature: str = "gausslegendre",
        baselines: BaselineLike = 0,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)
        quadrature_rule(quadrature, n_steps)  # its error names the user's n_steps, not that plus extra_nodes
        self.nodes, self.weights = quadrature_rule(quadrature, n_steps + self.extra_nodes)
        self.baselines = baselines_of(baselines, self.view.preprocessing)

    def _evaluate_path(self, images: Tensor, baselines: Tensor, targets: Tensor, add: AddGradients) -> Tensor:
        """Call ``add`` for the pairs of an image (N, C, H, W) and a node, in order; return F(baseline) (N, T)."""
        steps, everywhere = len(self.nodes), baselines.expand_as(images)
        nodes = self.nodes.to(images)[:, None, None, None]

        def evaluate_chunk(start: int, stop: int) -> None:
            pairs = torch.arange(start, stop, device=images.device)
            image, step = pairs // steps, pairs % steps
            points = everywhere[image] + nodes[step] * (images[image] - everywhere[image])
            add(image, step, self.view.gradients(points, targets[image]))

        self.evaluator.evaluate(len(images) * steps, evaluate_chunk)
        return self.scores(baselines, targets)


class Conductance(_LayerAlongPath):
    """Share of F(x) - F(b) that flows through each unit of a layer: its gradient times its change, along the path.

    Dhamdhere, Sundararajan and Yan 2018, "How Important Is a Neuron?" (arXiv 1805.12233), equation 3. The path is
    straight in pixels. With y_k the layer's values and g_k the gradient there at node k of n_steps + 1, the map is the
    sum of g_k (y_{k+1} - y_k), as in Captum; the nodes of ``riemann_trapezoid`` alone begin at b and end at x.

    Args:
        model: A :class:`~pipeline.view.LayerView` of a network.
        n_steps: Steps between nodes.
        quadrature: Rule of the nodes: ``gausslegendre`` or ``riemann_left``, ``_middle``, ``_right``, ``_trapezoid``.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Points in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range, or ``model`` is no view of a layer.
    """

    extra_nodes: ClassVar[int] = 1

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        sums = WeightedSums(len(images))
        last: Gradients | None = None  # of the point before this chunk, for the step from it to the first

        def add(image: Tensor, step: Tensor, chunk: Gradients) -> None:
            nonlocal last
            gradients, values = chunk.gradients, chunk.inputs[:, None]  # (P, T, *), (P, 1, *)
            if last is None:
                image, step = image[1:], step[1:]
            else:
                gradients, values = torch.cat((last.gradients, gradients)), torch.cat((last.inputs[:, None], values))
            flow = gradients[:-1] * values.diff(dim=0)
            sums.add(image[step > 0], flow[step > 0])  # step 0: the difference to the image before
            last = Gradients(*(tensor[-1:].clone() for tensor in chunk))

        baseline_score = self._evaluate_path(images, self.baselines(images, seeds), targets, add)
        maps = sums.result()
        delta = maps.flatten(2).sum(2) - (scores - baseline_score)
        return Attribution(maps, baseline_score, delta, evaluations=len(self.nodes) + 2)


class InternalInfluence(_LayerAlongPath):
    """Mean gradient at a layer along the path from the baseline to the image.

    Leino et al. 2018, "Influence-Directed Explanations for Deep Convolutional Networks" (arXiv 1802.03788), definition
    1, with the images on the path as the distribution of interest.

    Args:
        model: A :class:`~pipeline.view.LayerView` of a network.
        n_steps: Nodes of the quadrature rule.
        quadrature: ``gausslegendre`` or ``riemann_left``, ``_middle``, ``_right``, ``_trapezoid``.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Points in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range, or ``model`` is no view of a layer.
    """

    reads_scores: ClassVar[bool] = False

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        sums = WeightedSums(len(images))

        def add(image: Tensor, step: Tensor, chunk: Gradients) -> None:
            sums.add(image, chunk.gradients, self.weights[step.to(self.weights.device)])

        baseline_score = self._evaluate_path(images, self.baselines(images, seeds), targets, add)
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(sums.result(), baseline_score, undefined, evaluations=len(self.nodes) + 2)
