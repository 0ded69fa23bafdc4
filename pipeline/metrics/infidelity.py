"""Whether a map foretells what the output loses when a part of the image goes."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.metrics.case import Case
from pipeline.metrics.metric import Measured, Metric, Score, whole

SIDES = (0.1, 0.5)
"""Smallest and largest side of a square, as shares of the image's shorter side."""


class Infidelity(Metric):
    """E[(I . map - (F(x) - F(x - I)))^2] over squares I that go.

    Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations" (arXiv 1901.09392), definition 2.1, with
    squares of the image that become the baseline; the best scale is that of Captum's ``normalize``.

    Args:
        perturbations: Squares for each image.
        baselines: What a square becomes, see :func:`~pipeline.methods.baselines.baselines_of`.

    Raises:
        ValueError: If ``perturbations`` is no whole number from 1.
    """

    title: ClassVar[str] = "Infidelity"
    source: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392, definition 2.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "infidelity": Score(
            "mean squared difference of foretold and true loss, in squared units of the output", "lower"
        ),
        "scaled_infidelity": Score("the same after the best scaling of each map, of the mean squared loss", "lower"),
    }

    def __init__(self, perturbations: int = 50, baselines: BaselineLike = 0) -> None:
        self.perturbations, self.baselines = whole("perturbations", perturbations), baselines

    @property
    def protocol(self) -> str:
        return (
            f"{self.perturbations} squares for each image, the same for all its maps, with sides from "
            f"{SIDES[0]:.0%} to {SIDES[1]:.0%} of the image's shorter side, anywhere inside it; a square becomes "
            f"{self.baselines!r} (0: the mean colour). Foretold loss: the sum of the map over the square, which is "
            "I . map for maps that are a gradient times a difference from the baseline (others are judged by the "
            "scaled score alone). True loss: of the output explained. Controls have the sum of the map beside "
            "them, so that they are as complete. Scaled: 0 foretells all, 1 nothing; undefined where nothing is "
            "lost."
        )

    def measure(self, case: Case, maps: Tensor) -> Measured:
        images, _, height, width = case.images.shape
        count = self.perturbations
        boxes = torch.stack([squares(count, height, width, seed=seed) for seed in case.seeds.tolist()]).to(maps.device)
        foretold = sums(as_complete(maps.double()), boxes)
        absent = baselines_of(self.baselines, case.preprocessing)(case.images, case.seeds).expand_as(case.images)
        image = torch.arange(images, device=maps.device).repeat_interleave(count + 1)

        def points(numbers: Tensor) -> Tensor:
            own, square = image[numbers], numbers % (count + 1) - 1  # first, none is gone
            gone = inside(boxes[own, square], height, width) & (square >= 0)[:, None, None]
            return torch.where(gone[:, None], absent[own], case.images[own])

        outputs = case.evaluate(image, points, case.explained).double().reshape(images, count + 1)
        lost = outputs[:, :1] - outputs[:, 1:]
        return Measured({
            "infidelity": (foretold - lost).square().mean(2),
            "scaled_infidelity": unexplained(foretold, lost.expand_as(foretold)),
        })  # fmt: skip


def as_complete(maps: Tensor) -> Tensor:
    """The controls (1 to M - 1, N, H, W), none of which is below 0, with the sum of the map that stands first."""
    totals = maps.sum((2, 3), keepdim=True)
    factors = torch.where(totals[1:] > 0, totals[:1] / totals[1:], 1.0)
    return torch.cat((maps[:1], maps[1:] * factors))


def unexplained(foretold: Tensor, lost: Tensor) -> Tensor:
    """Share of sum(lost^2) along the last axis that the best multiple of ``foretold`` leaves over."""
    total, own = lost.square().sum(-1), foretold.square().sum(-1)
    explained = torch.where(own > 0, (foretold * lost).sum(-1).square() / own, 0.0)
    return torch.where(total > 0, (1 - explained / total).clamp_min(0), torch.nan)


def squares(count: int, height: int, width: int, *, seed: int) -> Tensor:
    """Top, left, bottom, right of squares inside an image, int64 (count, 4)."""
    generator = torch.Generator().manual_seed(seed)
    shorter = min(height, width)
    low, high = (max(1, round(share * shorter)) for share in SIDES)
    side = torch.randint(low, high + 1, (count,), generator=generator)
    top, left = (
        (torch.rand(count, generator=generator, dtype=torch.float64) * (size - side + 1)).long()
        for size in (height, width)
    )
    return torch.stack((top, left, top + side, left + side), 1)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Whether each pixel lies in each box (p, 4): bool (p, height, width)."""
    rows, columns = (torch.arange(size, device=boxes.device) for size in (height, width))
    top, left, bottom, right = boxes[:, :, None].unbind(1)
    return ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]


def sums(maps: Tensor, boxes: Tensor) -> Tensor:
    """Sum of each map (M, N, H, W) over its image's boxes (N, P, 4): float64 (M, N, P)."""
    padded = nn.functional.pad(maps.double(), (1, 0, 1, 0)).cumsum(2).cumsum(3)
    width = padded.shape[3]
    top, left, bottom, right = boxes.unbind(2)
    corners = torch.stack((bottom * width + right, top * width + right, bottom * width + left, top * width + left))
    flat = padded.flatten(2)
    all_of_it, above, beside, both = (flat.gather(2, corner.expand(len(maps), -1, -1)) for corner in corners)
    return all_of_it - above - beside + both
