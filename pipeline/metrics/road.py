"""Whether the class stays when relevant pixels are removed without a trace."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.methods.random_draws import normal, sample_seeds
from pipeline.metrics.case import Case, winner
from pipeline.metrics.imputation import impute
from pipeline.metrics.metric import Measured, Metric, Score
from pipeline.metrics.ranks import places

NOISE = 0.01
"""Standard deviation of what is added to imputed pixels, for pixels in [0, 1]."""


class Road(Metric):
    """Remove and debias: Rong et al. 2022 (arXiv 2202.00449), with their noisy linear imputation, as in their code.

    Args:
        percentages: Of the pixels that are removed, each above 0 and below 100.

    Raises:
        ValueError: If one is not, or there is none.
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

    def measure(self, case: Case, maps: Tensor) -> Measured:
        kinds, images, height, width = maps.shape
        count, pixels = len(self.percentages), height * width
        removed = torch.tensor([round(pixels * one / 100) for one in self.percentages], device=maps.device)
        order = places(maps, case.seeds)
        order = torch.stack((order, pixels - 1 - order)).flatten(0, 2)  # (most and least) x kinds x images
        seeds = sample_seeds(case.seeds, range(count))
        pairs = torch.arange(len(order) * count, device=maps.device)
        image = pairs // count % images
        deviation = case.images.new_tensor(case.preprocessing.std if case.preprocessing else [1.0])[:, None, None]

        def points(numbers: Tensor) -> Tensor:
            own, portion = image[numbers], numbers % count
            missing = (order[numbers // count] < removed[portion][:, None, None])[:, None]
            noise = normal(case.images[own], seeds[own.cpu(), portion.cpu()]) * (NOISE / deviation)
            return torch.where(missing, impute(case.images[own], missing) + noise, case.images[own])

        stays = case.evaluate(image, points, winner).reshape(2, kinds, images, count)
        most, least = stays.double().mean(3)
        curves = {"road_most": stays[0], "road_least": stays[1]}
        return Measured({"road_most": most, "road_least": least, "road": (least - most) / 2}, curves)
