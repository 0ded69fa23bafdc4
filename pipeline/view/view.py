"""A class of a model as a function of its input: values, gradients, straight paths."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.engine.geometry import Geometry, Pixels
from pipeline.engine.incremental.occluded_network import ENGINES, OccludedNetwork
from pipeline.engine.network.prepared import FastNetwork
from pipeline.engine.occlusion_windows import Shape
from pipeline.models.output_space import OUTPUTS, OutputSpace

InChunks = Callable[[int, Callable[[slice], tuple[Tensor, ...]]], tuple[Tensor, ...]]
"""Number of rows, and a function that evaluates a slice of them -> the tensors of all slices, concatenated."""


class GradientInputs(NamedTuple):
    """Inputs of a backward pass: the values with respect to which gradients are taken, and the network behind them.

    Attributes:
        values: (P, *), the points themselves or their activation in a layer.
        others: Further inputs of the network for each point, such as a skip connection, (P, ...) each.
        network: Values and others -> logits (P, K).
    """

    values: Tensor
    others: tuple[Tensor, ...]
    network: Callable[..., Tensor]


class Gradients(NamedTuple):
    """Values of targets at points, and their gradients.

    Attributes:
        values: (P, T).
        gradients: (P, T, *).
        inputs: (P, *), with respect to which the gradients are taken.
    """

    values: Tensor
    gradients: Tensor
    inputs: Tensor


@dataclass(frozen=True)
class StraightPath:
    """The straight path from a baseline to an image, at whose points the network is evaluated.

    Attributes:
        starts: (1 or N, *).
        ends: (N, *).
        differences: (N, ...) in the space of the map: image less baseline.
        logits: Points (P, *), and the number of each one's image (P,) -> (P, K).
        pull_back: Gradients (n, T, *) of some images, and a slice of these -> in the space of the map (n, T, ...): the
            vector-Jacobian product of the affine stem, if the path lies behind one.
    """

    starts: Tensor
    ends: Tensor
    differences: Tensor
    logits: Callable[[Tensor, Tensor], Tensor]
    pull_back: Callable[[Tensor, slice], Tensor]


class View:
    """Outputs of a model as functions of its input pixels.

    Args:
        model: Maps (P, C, H, W) to (P, K) or (P,) outputs, or to an object with such ``logits``. Put it into eval mode
            first; it is not changed.
        output: The output that is explained: ``logit``, ``probability`` or ``log_probability``.
        multi_label: Probabilities by a sigmoid for each class instead of a softmax over classes.
        preprocessing: The model's own, which gives baselines such as ``black`` their meaning.
        prepare: Evaluate a faster copy of the model; worth it where it is evaluated many times.
        compile: A backend of ``torch.compile`` for that copy, None for none; only where pixels are explained.
        engine: Evaluation of occluded images: ``dense`` in full, ``incremental`` only what the window changes, ``auto``
            the latter where it is possible and faster.

    Raises:
        ValueError: If ``output``, ``engine`` or ``compile`` is unknown.
    """

    explains: ClassVar[str] = "input"
    """Space of the maps: ``input`` or ``layer``."""
    explains_class: ClassVar[bool] = True
    """True if a class of the model is explained; False for a hidden neuron, which needs no target."""

    def __init__(  # noqa: PLR0913 - the options of a view
        self,
        model: nn.Module,
        *,
        output: str = "logit",
        multi_label: bool = False,
        preprocessing: Preprocessing | None = None,
        prepare: bool = False,
        compile: str | None = None,
        engine: str = "auto",
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        self.model, self.output, self.multi_label, self.preprocessing = model, output, multi_label, preprocessing
        self._fast = FastNetwork(model, compile=compile) if prepare else None
        self.occluded = OccludedNetwork(model, engine)

    @property
    def device(self) -> torch.device:
        """Device of the model: that of its first parameter or buffer; of a model with neither, the CPU."""
        return next(chain(self.model.parameters(), self.model.buffers()), torch.empty(0)).device

    def logits(self, points: Tensor) -> Tensor:
        """Return the logits (P, K) of points (P, C, H, W)."""
        return as_logits((self._fast or self.model)(points))

    def probe(self, shape: Shape) -> Tensor:
        """Return the logits (1, K) of a blank image (C, H, W): one forward pass, to see the network's operations."""
        with torch.no_grad():
            return self.logits(blank_image(self.model, shape))

    def class_logits(self, points: Tensor) -> Tensor:
        """Return the classifier's logits (P, classes) of points (P, C, H, W), also where a neuron is explained."""
        return self.logits(points)

    def outputs(self, logits: Tensor) -> Tensor:
        """Convert logits (P, K) to the output that is explained, (P, K)."""
        return OutputSpace(logits.shape[1], self.multi_label).in_unit(logits, self.output)

    def values(self, points: Tensor, targets: Tensor) -> Tensor:
        """Return the value of each target at each point.

        Args:
            points: (P, C, H, W).
            targets: (P, T) int64, classes.

        Returns:
            (P, T).
        """
        with torch.no_grad():
            return self.outputs(self.logits(points)).gather(1, targets)

    def gradient_inputs(self, points: Tensor) -> GradientInputs:
        """Return the inputs of the backward pass for points (P, C, H, W)."""
        return GradientInputs(points, (), self.logits)

    def gradients(self, points: Tensor, targets: Tensor) -> Gradients:
        """Return value and gradient of each target (P, T) at points (P, C, H, W): one forward, T backward passes."""
        values, others, network = self.gradient_inputs(points)
        return self.gradients_of(lambda inputs: network(inputs, *others), values, targets)

    def gradients_of(self, network: Callable[[Tensor], Tensor], points: Tensor, targets: Tensor) -> Gradients:
        """Return value and gradient of each target (P, T) for a function of points (P, *) that gives logits (P, K)."""
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            values = self.outputs(network(points)).gather(1, targets)
            if not values.requires_grad:  # the network ignores its input
                points = points.detach()
                return Gradients(values, points.new_zeros(targets.shape + points.shape[1:]), points)
            last = targets.shape[1] - 1
            gradients = [
                # The sum's gradient consists of each point's own: a point's value depends on that point alone.
                torch.autograd.grad(values[:, t].sum(), points, retain_graph=t < last, materialize_grads=True)[0]
                for t in range(last + 1)
            ]
        return Gradients(values.detach(), torch.stack(gradients, 1), points.detach())

    def straight_path(self, images: Tensor, starts: Tensor, in_chunks: InChunks) -> StraightPath:
        """Return the path from baselines (1 or N, C, H, W) to images (N, C, H, W), behind the affine stem if any."""
        differences = images - starts
        stem = self._fast.stem(images) if self._fast else None
        if stem is None:
            return StraightPath(starts, images, differences, lambda points, _: self.logits(points), unchanged)

        def through(points: Tensor) -> Tensor:
            return in_chunks(len(points), lambda part: (stem(points[part]),))[0]

        def pull_back(gradients: Tensor, which: slice) -> Tensor:
            own = images[which]
            return in_chunks(len(own), lambda part: (stem.pull_back(gradients[part], own[part]),))[0]

        return StraightPath(
            through(starts), through(images), differences, lambda points, _: as_logits(stem.rest(points)), pull_back
        )

    def geometry(self, shape: Shape, channels: str) -> Geometry:
        """Return the geometry of the maps of images of (C, H, W)."""
        return Pixels(shape, channels)


def unchanged(gradients: Tensor, _which: slice) -> Tensor:
    """Return the gradients: the path lies in the space of the map."""
    return gradients


def as_logits(output: Any) -> Tensor:
    """Convert a network's output, (P,) or (P, K) or an object with such ``logits``, to (P, K)."""
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits[:, None] if logits.ndim == 1 else logits


def blank_image(model: nn.Module, shape: Shape) -> Tensor:
    """Return zeros (1, C, H, W) on the network's device, in its dtype."""
    parameters = (parameter for parameter in model.parameters() if parameter.is_floating_point())
    return next(parameters, torch.empty(0)).new_zeros(1, *shape)
