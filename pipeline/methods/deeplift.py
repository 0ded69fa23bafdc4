"""DeepLift: differences from a baseline, carried back through the network by finite-difference multipliers."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Geometry
from pipeline.methods.baseline_distribution import DistributionLike, members_of
from pipeline.methods.baselines import BaselineLike, Baselines, baselines_of
from pipeline.methods.linearity import check_linear
from pipeline.methods.method import Attribution, Method
from pipeline.methods.multipliers import Tape
from pipeline.methods.rescale_rule import Rescale
from pipeline.view import GradientInputs, View
from pipeline.view.view import blank_image


class DeepLift(Method):
    """(x - b) times the multipliers of the network between the baseline b and the image x, by the rescale rule.

    Shrikumar et al. 2017, "Learning Important Features Through Propagating Activation Differences" (arXiv 1704.02685),
    section 3. Non-linear functions of one variable follow the rescale rule, products the gradient half way, max pooling
    the rule of the authors' code; softmax, layer norm and attention are composed of these. The map is complete for
    every network that is explained at all; one with another operation is refused. Over a layer, x and b are its values
    there; what passes the layer by takes part in the rules, and its share is missing from the map.

    Args:
        model: A network in eval mode, or a view of one.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        multiply_by_inputs: Without it, the multipliers alone.
        eps: Units that differ less from their baseline's take the gradient as multiplier.
        internal_batch_size: Images in one pass of the network; None finds the fastest.

    Raises:
        ValueError: If an option is out of range; later, if an operation of the network has no rule.
    """

    attributes_to: ClassVar[tuple[str, ...]] = ("input", "layer")

    def __init__(
        self,
        model: nn.Module | View,
        *,
        baselines: BaselineLike = 0,
        multiply_by_inputs: bool = True,
        eps: float = 1e-10,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size)
        if not eps > 0:
            raise ValueError(f"eps must be above 0, not {eps!r}")
        self.members: Sequence[Baselines] = [baselines_of(baselines, self.view.preprocessing)]
        self.multiply_by_inputs, self.eps = multiply_by_inputs, eps

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        blank = self.view.inside(blank_image(self.view.model, shape))
        target = torch.zeros(1, 1, dtype=torch.int64, device=blank.values.device)
        self._forward(blank.values.requires_grad_(), blank, target)
        return super().geometry(shape, channels)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        starts = [baselines(images, seeds) for baselines in self.members]
        answers: list[tuple[Tensor, Tensor, Tensor]] = []

        def evaluate_chunk(first: int, last: int) -> None:
            part = slice(first, last)
            chosen = [start if len(start) == 1 else start[part] for start in starts]
            answers.append(self._means(images[part], targets[part], chosen))

        self.evaluator.evaluate(len(images), evaluate_chunk)
        maps, totals, baseline_score = (torch.cat(parts) for parts in zip(*answers, strict=True))
        delta = totals - (scores - baseline_score)
        return Attribution(maps, baseline_score, delta, evaluations=1 + len(starts))

    def _means(self, images: Tensor, targets: Tensor, starts: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Over the baselines: of the maps (n, T, *), their sums (n, T) if complete, and F(baseline) (n, T)."""
        image = self.view.inside(images)
        points = image.values.detach().requires_grad_()
        values, tape = self._forward(points, image, targets)
        maps = points.new_zeros(targets.shape + points.shape[1:])
        totals, baseline_score = torch.zeros_like(values), torch.zeros_like(values)
        for start in starts:
            self.evaluator.check()
            baseline = self.view.inside(start)
            baseline_score += self._refer(tape, baseline, targets) / len(starts)
            multipliers = torch.stack([_multipliers(values[:, t], points) for t in range(targets.shape[1])], 1)
            product = multipliers * (image.values - baseline.values)[:, None]
            totals += product.flatten(2).sum(2) / len(starts)
            maps += (product if self.multiply_by_inputs else multipliers) / len(starts)
        return maps, totals.detach(), baseline_score

    def _forward(self, points: Tensor, inside: GradientInputs, targets: Tensor) -> tuple[Tensor, Tape]:
        """Values of the targets (n, T) with the graph that the rules are in, and the tape."""
        tape = Tape(self.eps)
        with torch.enable_grad():
            inputs = points.clone()  # no leaf: those count as parameters
            others = [other.detach().requires_grad_().clone() for other in inside.others]  # they differ by image too
            with Rescale(tape):
                outputs = self.view.outputs(inside.network(inputs, *others))
            values = outputs.expand(len(targets), -1).gather(1, targets)
        check_linear(values)
        return values, tape

    def _refer(self, tape: Tape, start: GradientInputs, targets: Tensor) -> Tensor:
        """F(baseline) (n, T); the baseline's calls become the tape's reference."""
        every = [tensor.expand(len(targets), *tensor.shape[1:]) for tensor in (start.values, *start.others)]
        for inside in (start, GradientInputs(every[0], tuple(every[1:]), start.network)):
            values, clean = self._forward(inside.values.detach().requires_grad_(), inside, targets)
            if tape.refer_to(clean):
                return values.detach()
        raise ValueError(
            "DeepLift: the network takes another path for the baseline than for the image; it has no rule for that"
        )


class DeepLiftShap(DeepLift):
    """The mean of DeepLift over a distribution of baselines.

    Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions" (arXiv 1705.07874), section 4.2.

    Args:
        model: A network in eval mode, or a view of one.
        baselines: See :func:`~pipeline.methods.baseline_distribution.members_of`.
        multiply_by_inputs: Without it, the mean multipliers alone.
        eps: Units that differ less from their baseline's take the gradient as multiplier.
        internal_batch_size: Images in one pass of the network; None finds the fastest.

    Raises:
        ValueError: As :class:`DeepLift`.
    """

    def __init__(
        self,
        model: nn.Module | View,
        *,
        baselines: DistributionLike,
        multiply_by_inputs: bool = True,
        eps: float = 1e-10,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, multiply_by_inputs=multiply_by_inputs, eps=eps, internal_batch_size=internal_batch_size)
        self.members = members_of(baselines, self.view.preprocessing)


def _multipliers(values: Tensor, points: Tensor) -> Tensor:
    """(n,) values with the rules in their graph -> (n, *)."""
    if not values.requires_grad:  # a network that ignores its input
        return torch.zeros_like(points)
    return torch.autograd.grad(values.sum(), points, retain_graph=True, materialize_grads=True)[0]
