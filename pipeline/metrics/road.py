"""ROAD: share of images that keep their class while relevant pixels are removed by imputation."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.methods.random_draws import normal_noise, sample_seeds
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.imputation import impute
from pipeline.metrics.metric import Measurement, Metric, Score
from pipeline.metrics.ranks import pixel_ranks

NOISE = 0.01
"""Standard deviation of the noise added to imputed pixels, for pixels in [0, 1]."""


class Road(Metric):
    """Remove and debias: Rong et al. 2022 (arXiv 2202.00449), with their noisy linear imputation, as in their code.

    Args:
        percentages: Percentages of the pixels that are removed, each above 0 and below 100.

    Raises:
        ValueError: If one is out of range, or there is none.
    """

    title: ClassVar[str] = "ROAD"
    source: ClassVar[str] = "Rong et al. 2022, arXiv 2202.00449"
    scores: ClassVar[Mapping[str, Score]] = {
        "road_most": Score("share of percentages at which the class stays, most relevant removed first", "lower"),
        "road_least": Score("share of percentages at which the class stays, least relevant removed first", "higher"),
        "road": Score("half the difference, least less most", "higher"),
    }
    axis: ClassVar[str] = "percent of the pixels removed"

    def __init__(self, percentages: Sequence[float] = (10, 20, 30, 40, 50, 70, 90)) -> None:
        self.percentages = list(percentages)
        if not self.percentages or not all(0 < percentage < 100 for percentage in self.percentages):
            raise ValueError(f"percentages must be numbers above 0 and below 100, not {percentages!r}")

    @property
    def protocol(self) -> str:
        listed = ", ".join(f"{percentage:g}" for percentage in self.percentages)
        return (
            f"{listed} percent of the pixels (all channels) removed, most or least relevant first, equal ones in "
            "random order. A removed pixel becomes the weighted mean of its neighbours (1/6 along, 1/12 across), "
            f"all solved together, plus normal noise of {NOISE} for pixels in [0, 1], the same for all maps. The "
            "class explained stays if it still has the highest output. Nothing is trained again."
        )

    @property
    def positions(self) -> list[float]:
        return [float(percentage) for percentage in self.percentages]

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        kinds, images, height, width = maps.shape
        count, pixels = len(self.percentages), height * width
        removed = torch.tensor([round(pixels * one / 100) for one in self.percentages], device=maps.device)
        ranks = pixel_ranks(maps, batch.seeds)
        ranks = torch.stack((ranks, pixels - 1 - ranks)).flatten(0, 2)  # (most and least) x kinds x images
        seeds = sample_seeds(batch.seeds, range(count))
        pairs = torch.arange(len(ranks) * count, device=maps.device)
        image = pairs // count % images
        deviation = batch.images.new_tensor(batch.preprocessing.std if batch.preprocessing else [1.0])[:, None, None]

        def points(numbers: Tensor) -> Tensor:
            own, portion = image[numbers], numbers % count
            missing = (ranks[numbers // count] < removed[portion][:, None, None])[:, None]
            noise = normal_noise(batch.images[own], seeds[own.cpu(), portion.cpu()]) * (NOISE / deviation)
            return torch.where(missing, impute(batch.images[own], missing) + noise, batch.images[own])

        stays = batch.evaluate(image, points, batch.winner).reshape(2, kinds, images, count)
        most, least = stays.double().mean(3)
        curves = {"road_most": stays[0], "road_least": stays[1]}
        return Measurement({"road_most": most, "road_least": least, "road": (least - most) / 2}, curves)
