"""How fast the class goes when the most relevant pixels go first, and comes when they come first."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.metrics.case import Case
from pipeline.metrics.metric import Measured, Metric, Score, whole
from pipeline.metrics.ranks import places

BLUR_SIDE, BLUR_DEVIATION = 11, 5.0
"""Of the image that insertion begins with, in pixels, as in the authors' code."""
_TRUNCATED = 4
"""Deviations after which SciPy's gaussian_filter, which made their kernel, ends."""


class Deletion(Metric):
    """Deletion and insertion curves and the areas under them.

    Petsiuk et al. 2018, "RISE" (arXiv 1806.07421), section 4.1, as in the authors' code.

    Args:
        steps: Equal portions of pixels that go or come, one after the other.

    Raises:
        ValueError: If ``steps`` is no whole number from 1.
    """

    title: ClassVar[str] = "Deletion and insertion"
    source: ClassVar[str] = "Petsiuk et al. 2018, RISE, arXiv 1806.07421, section 4.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "deletion": Score("area under the target's probability while pixels go", "lower"),
        "insertion": Score("area under the target's probability while pixels come", "higher"),
    }
    axis: ClassVar[str] = "share of pixels changed, most relevant first"

    def __init__(self, steps: int = 28) -> None:
        self.steps = whole("steps", steps)

    @property
    def protocol(self) -> str:
        return (
            f"Pixels in descending order of the map summed over channels, equal ones in random order, in {self.steps} "
            "equal portions (28 are 1,792 of 224 x 224 pixels). Deletion: to 0 in the model's input, the mean colour. "
            f"Insertion: into the image blurred by {BLUR_SIDE} x {BLUR_SIDE} pixels, sigma {BLUR_DEVIATION:g}. Score: "
            "probability (softmax; sigmoid for independent outputs) of the class explained, area by trapezoids."
        )

    @property
    def positions(self) -> list[float]:
        return [step / self.steps for step in range(self.steps + 1)]

    def measure(self, case: Case, maps: Tensor) -> Measured:
        order = places(maps, case.seeds)
        curves = {
            "deletion": self._curve(case, order, case.images, torch.zeros_like(case.images)),
            "insertion": self._curve(case, order, blurred(case.images), case.images),
        }
        return Measured({name: area(curve) for name, curve in curves.items()}, curves)

    def _curve(self, case: Case, order: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """The target's probability while pixels change from ``before`` to ``after`` in an order (M, N, H, W)."""
        kinds, images, height, width = order.shape
        portions = self.steps + 1
        changed = torch.linspace(0, height * width, portions, dtype=torch.float64, device=order.device).round()
        pairs = torch.arange(kinds * images * portions, device=order.device)
        image, ordered = pairs // portions % images, order.flatten(0, 1)

        def points(numbers: Tensor) -> Tensor:
            place, own = ordered[numbers // portions], image[numbers]
            gone = place < changed[numbers % portions][:, None, None]
            return torch.where(gone[:, None], after[own], before[own])

        return case.evaluate(image, points, case.probability).reshape(kinds, images, portions)


def area(curve: Tensor) -> Tensor:
    """Area under a curve (..., S) over [0, 1] by trapezoids, float64."""
    return torch.trapezoid(curve.double(), dim=-1) / (curve.shape[-1] - 1)


def blurred(images: Tensor) -> Tensor:
    """Images (N, C, H, W), blurred; beyond their border is 0."""
    line = blur_line().to(images)
    kernel = (line[:, None] * line).expand(images.shape[1], 1, -1, -1)
    return nn.functional.conv2d(images, kernel, padding=BLUR_SIDE // 2, groups=images.shape[1])


def blur_line() -> Tensor:
    """The kernel along an axis, float64: a Gaussian, what lies beyond its ends mirrored inwards."""
    reach = int(_TRUNCATED * BLUR_DEVIATION + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / BLUR_DEVIATION) ** 2)
    folded = (offsets + BLUR_SIDE // 2) % (2 * BLUR_SIDE)
    folded = torch.where(folded < BLUR_SIDE, folded, 2 * BLUR_SIDE - 1 - folded)
    line = torch.zeros(BLUR_SIDE, dtype=torch.float64).index_add_(0, folded, weights)
    return line / weights.sum()
