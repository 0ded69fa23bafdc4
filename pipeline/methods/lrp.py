"""Layer-wise relevance propagation (LRP): the output, distributed layer by layer back to the pixels."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Geometry
from pipeline.methods.lrp_propagation import LRPRuleMode
from pipeline.methods.method import Attribution, Method
from pipeline.view import View
from pipeline.view.view import blank_image

COMPOSITES = ("epsilon_plus_flat", "epsilon")


class LRP(Method):
    """Output of the target, distributed over the pixels by a rule in each layer.

    ``epsilon_plus_flat`` (Kohlbrenner et al. 2020, "Towards Best Practice in Explaining Neural Network Decisions with
    LRP", arXiv 1910.09840; the name is zennit's): the flat rule in the first layer, the plus rule in the other
    convolutions, the epsilon rule in linear layers. ``epsilon``: that rule everywhere. See
    :mod:`pipeline.methods.lrp_rules` for their formulas. Sums, such as those of residual blocks, and means pass
    relevance on in proportion to what is added, max pooling to the winner, activations unchanged. Batch norm is merged
    into the layer before it; one that follows no layer is a layer with the epsilon rule. Biases and epsilon absorb
    relevance, so that a map's sum is the output only if the network has no biases and epsilon is small.

    Args:
        model: A network in eval mode, or a view of one.
        composite: ``epsilon_plus_flat`` or ``epsilon``.
        epsilon: Of the epsilon rule, in the units of a layer's output.
        internal_batch_size: Images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range; later, if an operation of the network has no rule, as most activations
            but ReLU, ReLU6 and leaky ReLU, and products of what depends on the image (attention, gates).
    """

    reads_scores: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module | View,
        *,
        composite: str = "epsilon_plus_flat",
        epsilon: float = 1e-6,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        if composite not in COMPOSITES:
            raise ValueError(f"composite must be one of {', '.join(COMPOSITES)}, not {composite!r}")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be above 0, not {epsilon!r}")
        self.flat, self.epsilon = composite == "epsilon_plus_flat", epsilon

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Geometry:
        self.view.probe(shape)  # makes the prepared copy, which must not be traced in the mode
        blank = blank_image(self.view.model, shape)  # shows whether every operation has a rule
        self._forward_with_rules(blank.requires_grad_(), torch.zeros(1, 1, dtype=torch.int64, device=blank.device))
        return super().geometry(shape, channels)

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        maps = images.new_zeros(targets.shape + images.shape[1:])

        def evaluate_chunk(start: int, stop: int) -> None:
            maps[start:stop] = self._relevance(images[start:stop], targets[start:stop])

        self.evaluator.evaluate(len(images), evaluate_chunk)
        undefined = torch.full_like(scores, torch.nan)
        return Attribution(maps, undefined, undefined, evaluations=1)

    def _relevance(self, images: Tensor, targets: Tensor) -> Tensor:
        """Propagate relevance back to the pixels: (n, T, C, H, W)."""
        points = images.detach().requires_grad_()
        values = self._forward_with_rules(points, targets)
        if not values.requires_grad:  # a network that ignores its input
            return images.new_zeros(targets.shape + images.shape[1:])
        backward = [
            torch.autograd.grad(values[:, t].sum(), points, retain_graph=True, materialize_grads=True)[0]
            for t in range(targets.shape[1])
        ]
        # the flat rule gives relevance, the epsilon rule multipliers: relevance / value
        return torch.stack(backward, 1) * (1 if self.flat else images[:, None])

    def _forward_with_rules(self, points: Tensor, targets: Tensor) -> Tensor:
        """Evaluate the targets (n, T), with the rules in the autograd graph."""
        with torch.enable_grad():
            inputs = points.clone()  # not a leaf: those count as parameters
            with LRPRuleMode(flat=self.flat, epsilon=self.epsilon) as mode:
                outputs = self.view.outputs(self.view.logits(inputs))
            values = outputs.expand(len(targets), -1).gather(1, targets)
        if values.requires_grad:
            mode.check(values)
        return values
