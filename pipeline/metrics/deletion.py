"""Deletion and insertion curves: probability of the class while pixels are removed or added, most relevant first."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score, whole_number
from pipeline.metrics.ranks import pixel_ranks

BLUR_SIDE, BLUR_DEVIATION = 11, 5.0
"""Side and standard deviation, in pixels, of the blur that the insertion curve begins with, as in the authors' code."""
_TRUNCATED = 4
"""Standard deviations at which SciPy's gaussian_filter, which made their kernel, truncates."""


class Deletion(Metric):
    """Areas under the deletion curve and the insertion curve.

    Petsiuk et al. 2018, "RISE" (arXiv 1806.07421), section 4.1, as in the authors' code.

    Args:
        steps: Number of equal portions of pixels, removed or added one after the other.

    Raises:
        ValueError: If ``steps`` is no whole number from 1.
    """

    title: ClassVar[str] = "Deletion and insertion"
    source: ClassVar[str] = "Petsiuk et al. 2018, RISE, arXiv 1806.07421, section 4.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "deletion": Score("area under the target's probability while pixels are removed", "lower"),
        "insertion": Score("area under the target's probability while pixels are added", "higher"),
    }
    axis: ClassVar[str] = "share of pixels changed, most relevant first"

    def __init__(self, steps: int = 28) -> None:
        self.steps = whole_number("steps", steps)

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

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        ranks = pixel_ranks(maps, batch.seeds)
        curves = {
            "deletion": self._curve(batch, ranks, batch.images, torch.zeros_like(batch.images)),
            "insertion": self._curve(batch, ranks, blur_images(batch.images), batch.images),
        }
        return Measurement({name: area_under_curve(curve) for name, curve in curves.items()}, curves)

    def _curve(self, batch: ExplainedBatch, ranks: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Probability of the target (M, N, S) as pixels change from ``before`` to ``after`` by rank (M, N, H, W)."""
        kinds, images, height, width = ranks.shape
        portions = self.steps + 1
        changed = torch.linspace(0, height * width, portions, dtype=torch.float64, device=ranks.device).round()
        pairs = torch.arange(kinds * images * portions, device=ranks.device)
        image, flat = pairs // portions % images, ranks.flatten(0, 1)

        def points(numbers: Tensor) -> Tensor:
            rank, own = flat[numbers // portions], image[numbers]
            is_changed = rank < changed[numbers % portions][:, None, None]
            return torch.where(is_changed[:, None], after[own], before[own])

        return batch.evaluate(image, points, batch.probability).reshape(kinds, images, portions)


def area_under_curve(curve: Tensor) -> Tensor:
    """Area under a curve (..., S) over [0, 1] by trapezoids, float64."""
    return torch.trapezoid(curve.double(), dim=-1) / (curve.shape[-1] - 1)


def blur_images(images: Tensor) -> Tensor:
    """Blur images (N, C, H, W), zero-padded."""
    along = blur_kernel().to(images)
    kernel = (along[:, None] * along).expand(images.shape[1], 1, -1, -1)
    return nn.functional.conv2d(images, kernel, padding=BLUR_SIDE // 2, groups=images.shape[1])


def blur_kernel() -> Tensor:
    """Gaussian kernel along an axis, float64 (BLUR_SIDE,): what lies beyond its ends is reflected inwards."""
    reach = int(_TRUNCATED * BLUR_DEVIATION + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / BLUR_DEVIATION) ** 2)
    # SciPy's mode="reflect" (d c b a | a b c d | d c b a) has the period 2 * BLUR_SIDE
    folded = (offsets + BLUR_SIDE // 2) % (2 * BLUR_SIDE)
    folded = torch.where(folded < BLUR_SIDE, folded, 2 * BLUR_SIDE - 1 - folded)
    kernel = torch.zeros(BLUR_SIDE, dtype=torch.float64).index_add_(0, folded, weights)
    return kernel / weights.sum()
