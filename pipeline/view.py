"""What is explained, and with respect to what: values and gradients of a model's outputs at points of its input."""

import torch
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.network import FastNetwork
from pipeline.engine.occluded import ENGINES, OccludedNetwork
from pipeline.engine.stem import Stem

OUTPUTS = ("logit", "probability", "log_probability")


class View:
    """Outputs of a model as functions of its input pixels.

    Args:
        model: Maps (P, C, H, W) to (P, K) or (P,) outputs, or to an object with such ``logits``. Put it into eval mode
            first; it is not changed.
        output: What of the model is explained: its ``logit``, ``probability`` or ``log_probability``.
        multi_label: Probabilities by a sigmoid for each class instead of a softmax over classes.
        preprocessing: The model's own, which gives baselines such as ``black`` their meaning.
        prepare: Ask a faster copy of the model; worth it where it is asked many times.
        engine: How occluded images are asked: ``dense`` all of each, ``incremental`` what the window changes,
            ``auto`` the latter where it can be.

    Raises:
        ValueError: If ``output`` or ``engine`` is unknown.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        output: str = "logit",
        multi_label: bool = False,
        preprocessing: Preprocessing | None = None,
        prepare: bool = False,
        engine: str = "auto",
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        self.model, self.output, self.multi_label, self.preprocessing = model, output, multi_label, preprocessing
        self._fast = FastNetwork(model) if prepare else None
        self.occluded = OccludedNetwork(model, engine)

    def stem(self, points: Tensor) -> Stem | None:
        """The affine first layers of the model and the rest, where points (P, C, H, W) can be asked in two steps."""
        return self._fast.stem(points) if self._fast else None

    def logits(self, points: Tensor, *, stem: Stem | None = None) -> Tensor:
        """Logits (P, K) of points (P, C, H, W), or of what they are behind the stem."""
        network = stem.rest if stem else self._fast or self.model
        answer = network(points)
        logits: Tensor = answer if isinstance(answer, Tensor) else answer.logits
        return logits[:, None] if logits.ndim == 1 else logits

    def outputs(self, logits: Tensor) -> Tensor:
        """(P, K) logits -> (P, K) in the units that are explained."""
        if self.output == "logit":
            return logits
        logarithm = self.output == "log_probability"
        if self.multi_label or logits.shape[1] == 1:
            return nn.functional.logsigmoid(logits) if logarithm else logits.sigmoid()
        return logits.log_softmax(1) if logarithm else logits.softmax(1)

    def values(self, points: Tensor, targets: Tensor) -> Tensor:
        """Value of each target at each point.

        Args:
            points: (P, C, H, W).
            targets: (P, T) int64, classes.

        Returns:
            (P, T).
        """
        with torch.no_grad():
            return self.outputs(self.logits(points)).gather(1, targets)

    def gradients(self, points: Tensor, targets: Tensor, *, stem: Stem | None = None) -> tuple[Tensor, Tensor]:
        """Value and gradient of each target at each point: one forward, T backwards.

        Args:
            points: (P, C, H, W).
            targets: (P, T) int64, classes.
            stem: Points and gradients are those behind it, (P, *).

        Returns:
            Values (P, T) and gradients (P, T, C, H, W).
        """
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            values = self.outputs(self.logits(points, stem=stem)).gather(1, targets)
            if not values.requires_grad:  # a network that ignores its input
                return values, points.detach().new_zeros(targets.shape + points.shape[1:])
            last = targets.shape[1] - 1
            gradients = [
                # the sum's gradient holds each point's own, and has one root instead of P
                torch.autograd.grad(values[:, t].sum(), points, retain_graph=t < last, materialize_grads=True)[0]
                for t in range(last + 1)
            ]
        return values.detach(), torch.stack(gradients, 1)
