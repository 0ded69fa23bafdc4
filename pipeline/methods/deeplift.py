"""DeepLift and DeepLiftSHAP: differences from a baseline times multipliers, propagated back through the network."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Geometry
from pipeline.methods.baseline_distribution import DistributionLike, members_of
from pipeline.methods.baselines import BaselineLike, Baselines, baselines_of
from pipeline.methods.linearity import check_linear
from pipeline.methods.method import Attribution, Method
from pipeline.methods.multipliers import CallTape
from pipeline.methods.rescale_rule import RescaleRuleMode
from pipeline.view import GradientInputs, View
from pipeline.view.view import blank_image


class DeepLift(Method):
    """(x - b) times the multipliers of the network between the baseline b and the image x, by the rescale rule.

    Shrikumar et al. 2017, "Learning Important Features Through Propagating Activation Differences" (arXiv 1704.02685),
    section 3. Non-linear functions of one variable follow the rescale rule, products the gradient half way, max pooling
    the rule of the authors' code; softmax, layer norm and attention are composed of these. The map is complete for
    every network that is explained at all; one with another operation is refused. Over a layer, x and b are its values
    there; what bypasses the layer (a skip) takes part in the rules, and its share is missing from the map.

    Args:
        model: A network in eval mode, or a view of one.
        baselines: See :func:`~pipeline.methods.baselines.baselines_of`.
        multiply_by_inputs: False for the multipliers alone.
        eps: Units that differ less from their baseline's take the gradient as multiplier.
        internal_batch_size: Images in one forward pass; None finds the fastest.

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
        # a blank image shows whether every operation has a rule, before the first batch is read
        blank = self.view.gradient_inputs(blank_image(self.view.model, shape))
        target = torch.zeros(1, 1, dtype=torch.int64, device=blank.values.device)
        self._forward_with_rules(blank.values.requires_grad_(), blank, target)
        return super().geometry(shape, channels)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        all_baselines = [baselines(images, seeds) for baselines in self.members]
        chunks: list[tuple[Tensor, Tensor, Tensor]] = []

        def evaluate_chunk(start: int, stop: int) -> None:
            part = slice(start, stop)
            of_part = [baselines if len(baselines) == 1 else baselines[part] for baselines in all_baselines]
            chunks.append(self._mean_maps(images[part], targets[part], of_part))

        self.evaluator.evaluate(len(images), evaluate_chunk)
        maps, totals, baseline_score = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        delta = totals - (scores - baseline_score)
        return Attribution(maps, baseline_score, delta, evaluations=1 + len(all_baselines))

    def _mean_maps(self, images: Tensor, targets: Tensor, all_baselines: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Average over the baselines, (1 or n, C, H, W) each.

        Returns:
            Maps (n, T, *), sums of the products with the inputs (n, T), and F(baseline) (n, T).
        """
        image = self.view.gradient_inputs(images)
        points = image.values.detach().requires_grad_()
        values, tape = self._forward_with_rules(points, image, targets)
        maps = points.new_zeros(targets.shape + points.shape[1:])
        totals, baseline_score = torch.zeros_like(values), torch.zeros_like(values)
        for baselines in all_baselines:
            self.evaluator.check()
            baseline = self.view.gradient_inputs(baselines)
            baseline_score += self._evaluate_reference(tape, baseline, targets) / len(all_baselines)
            multipliers = torch.stack([_multipliers(values[:, t], points) for t in range(targets.shape[1])], 1)
            product = multipliers * (image.values - baseline.values)[:, None]
            totals += product.flatten(2).sum(2) / len(all_baselines)
            maps += (product if self.multiply_by_inputs else multipliers) / len(all_baselines)
        return maps, totals.detach(), baseline_score

    def _forward_with_rules(
        self, points: Tensor, network_inputs: GradientInputs, targets: Tensor
    ) -> tuple[Tensor, CallTape]:
        """Evaluate the targets (n, T), with the rules in the autograd graph and the calls on the tape."""
        tape = CallTape(self.eps)
        with torch.enable_grad():
            inputs = points.clone()  # not a leaf: those count as parameters
            # what bypasses a layer differs by image too, so it depends on the input
            others = [other.detach().requires_grad_().clone() for other in network_inputs.others]
            with RescaleRuleMode(tape):
                outputs = self.view.outputs(network_inputs.network(inputs, *others))
            values = outputs.expand(len(targets), -1).gather(1, targets)
        check_linear(values)
        return values, tape

    def _evaluate_reference(self, tape: CallTape, baseline: GradientInputs, targets: Tensor) -> Tensor:
        """Evaluate F(baseline) (n, T); the calls of this forward pass become the tape's reference."""
        # a baseline that all images share is evaluated once; if its calls do not broadcast to the images' (a network
        # that folds the batch into another dimension), once for each image
        expanded = [tensor.expand(len(targets), *tensor.shape[1:]) for tensor in (baseline.values, *baseline.others)]
        for network_inputs in (baseline, GradientInputs(expanded[0], tuple(expanded[1:]), baseline.network)):
            points = network_inputs.values.detach().requires_grad_()
            values, reference = self._forward_with_rules(points, network_inputs, targets)
            if tape.set_reference(reference):
                return values.detach()
        raise ValueError(
            "DeepLift: the network takes another path for the baseline than for the image, and there is no rule for "
            "that: use another method"
        )


class DeepLiftShap(DeepLift):
    """Mean of DeepLift over a distribution of baselines.

    Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions" (arXiv 1705.07874), section 4.2.

    Args:
        model: A network in eval mode, or a view of one.
        baselines: See :func:`~pipeline.methods.baseline_distribution.members_of`.
        multiply_by_inputs: False for the mean multipliers alone.
        eps: Units that differ less from their baseline's take the gradient as multiplier.
        internal_batch_size: Images in one forward pass; None finds the fastest.

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
    """Propagate multipliers back from values (n,), with the rules in their graph, to the points: (n, *)."""
    if not values.requires_grad:  # a network that ignores its input
        return torch.zeros_like(points)
    return torch.autograd.grad(values.sum(), points, retain_graph=True, materialize_grads=True)[0]
