"""Infidelity: squared difference between predicted and actual change of the output under perturbations."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score, whole_number

SIDES = (0.1, 0.5)
"""Smallest and largest side of a square, as shares of the image's shorter side."""


class Infidelity(Metric):
    """E[(I . map - (F(x) - F(x - I)))^2] over removed squares I.

    Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations" (arXiv 1901.09392), definition 2.1, with
    squares of the image that become the baseline; the best scale is that of Captum's ``normalize``.

    Args:
        perturbations: Number of squares for each image.
        baselines: Baseline that replaces a square, see :func:`~pipeline.methods.baselines.baselines_of`.

    Raises:
        ValueError: If ``perturbations`` is no whole number from 1.
    """

    title: ClassVar[str] = "Infidelity"
    source: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392, definition 2.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "infidelity": Score(
            "mean squared difference of predicted and actual change, in squared units of the output", "lower"
        ),
        "scaled_infidelity": Score(
            "the same after the best scaling of each map, as a share of the mean squared change", "lower"
        ),
    }

    def __init__(self, perturbations: int = 50, baselines: BaselineLike = 0) -> None:
        self.perturbations, self.baselines = whole_number("perturbations", perturbations), baselines

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

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        images, _, height, width = batch.images.shape
        count = self.perturbations
        boxes = torch.stack([draw_squares(count, height, width, seed=seed) for seed in batch.seeds.tolist()]).to(
            maps.device
        )
        predicted = box_sums(match_sums(maps.double()), boxes)
        absent = baselines_of(self.baselines, batch.preprocessing)(batch.images, batch.seeds).expand_as(batch.images)
        image = torch.arange(images, device=maps.device).repeat_interleave(count + 1)

        def points(numbers: Tensor) -> Tensor:
            own, square = image[numbers], numbers % (count + 1) - 1  # -1: nothing is removed
            removed = box_masks(boxes[own, square], height, width) & (square >= 0)[:, None, None]
            return torch.where(removed[:, None], absent[own], batch.images[own])

        outputs = batch.evaluate(image, points, batch.explained).double().reshape(images, count + 1)
        actual = outputs[:, :1] - outputs[:, 1:]
        return Measurement({
            "infidelity": (predicted - actual).square().mean(2),
            "scaled_infidelity": unexplained_share(predicted, actual.expand_as(predicted)),
        })  # fmt: skip


def match_sums(maps: Tensor) -> Tensor:
    """Scale the controls, maps[1:] of (M, N, H, W) and none below 0, to the sum of the first map: as complete as it."""
    totals = maps.sum((2, 3), keepdim=True)
    factors = torch.where(totals[1:] > 0, totals[:1] / totals[1:], 1.0)
    return torch.cat((maps[:1], maps[1:] * factors))


def unexplained_share(predicted: Tensor, actual: Tensor) -> Tensor:
    """Residual of the least-squares fit of ``actual`` by a multiple of ``predicted``, as a share of sum(actual^2)."""
    total, own = actual.square().sum(-1), predicted.square().sum(-1)
    explained = torch.where(own > 0, (predicted * actual).sum(-1).square() / own, 0.0)
    return torch.where(total > 0, (1 - explained / total).clamp_min(0), torch.nan)


def draw_squares(count: int, height: int, width: int, *, seed: int) -> Tensor:
    """Draw squares inside an image: top, left, bottom, right, int64 (count, 4)."""
    generator = torch.Generator().manual_seed(seed)
    shorter = min(height, width)
    low, high = (max(1, round(share * shorter)) for share in SIDES)
    side = torch.randint(low, high + 1, (count,), generator=generator)
    top, left = (
        (torch.rand(count, generator=generator, dtype=torch.float64) * (size - side + 1)).long()
        for size in (height, width)
    )
    return torch.stack((top, left, top + side, left + side), 1)


def box_masks(boxes: Tensor, height: int, width: int) -> Tensor:
    """Mask of each box (p, 4): bool (p, height, width)."""
    rows, columns = (torch.arange(size, device=boxes.device) for size in (height, width))
    top, left, bottom, right = boxes[:, :, None].unbind(1)
    return ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]


def box_sums(maps: Tensor, boxes: Tensor) -> Tensor:
    """Sum of each map (M, N, H, W) over its image's boxes (N, P, 4): float64 (M, N, P), by summed-area tables."""
    padded = nn.functional.pad(maps.double(), (1, 0, 1, 0)).cumsum(2).cumsum(3)
    width = padded.shape[3]
    top, left, bottom, right = boxes.unbind(2)
    corners = torch.stack((bottom * width + right, top * width + right, bottom * width + left, top * width + left))
    flat = padded.flatten(2)
    # S[bottom, right] - S[top, right] - S[bottom, left] + S[top, left]
    whole, above, beside, both = (flat.gather(2, corner.expand(len(maps), -1, -1)) for corner in corners)
    return whole - above - beside + both
