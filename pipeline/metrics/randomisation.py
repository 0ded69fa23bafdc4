"""Model parameter randomisation: similarity of maps before and after the weights are randomised (sanity check)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score, whole_number
from pipeline.metrics.ranks import spearman
from pipeline.metrics.ssim import ssim


class Randomisation(Metric):
    """Model parameter randomisation, cascading from the output to the input.

    Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (arXiv 1810.03292), section 4.1.

    Args:
        stages: Number of equal portions of the layers, after each of which the maps are compared.
        seed: Of the random weights.

    Raises:
        ValueError: If an option is out of range.
    """

    title: ClassVar[str] = "Model parameter randomisation"
    source: ClassVar[str] = "Adebayo et al. 2018, arXiv 1810.03292, section 4.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "randomised_spearman": Score(
            "rank correlation of |map| with that of random weights, mean over stages", "lower"
        ),
        "randomised_ssim": Score("structural similarity of the same, mean over stages", "lower"),
    }
    axis: ClassVar[str] = "share of the layers with random weights, those next to the output first"

    def __init__(self, stages: int = 4, seed: int = 0) -> None:
        self.stages, self.seed = whole_number("stages", stages), whole_number("seed", seed, lowest=0)

    @property
    def protocol(self) -> str:
        return (
            f"The layers nearest the output, in {self.stages} equal portions, one more each time: every weight is "
            "drawn anew from a normal distribution of the mean and deviation of its own parameter, and running "
            "statistics stay. Each image is explained anew for the same class. |map| is compared by Spearman's "
            "correlation of its pixels and, over its maximum, by SSIM (11 x 11, sigma 1.5). Controls do not see "
            "the network and have 1."
        )

    @property
    def positions(self) -> list[float]:
        return [stage / self.stages for stage in range(1, self.stages + 1)]

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        clean = torch.cat((batch.explain(batch.images)[None], maps[1:])).abs()
        correlations, similarities = [], []
        layers = parameter_layers(batch.network)
        for stage in range(1, self.stages + 1):
            with randomised_weights(layers[-ceil(len(layers) * stage / self.stages) :], seed=self.seed):
                randomised = torch.cat((batch.explain(batch.images)[None], maps[1:])).abs()
            correlations.append(spearman(clean.flatten(2), randomised.flatten(2)))
            similarities.append(ssim(normalise_by_maximum(clean), normalise_by_maximum(randomised)))
        curves = {
            "randomised_spearman": nan_where_zero(torch.stack(correlations, 2), clean),
            "randomised_ssim": nan_where_zero(torch.stack(similarities, 2), clean),
        }
        return Measurement({name: curve.mean(2) for name, curve in curves.items()}, curves)


def normalise_by_maximum(magnitudes: Tensor) -> Tensor:
    """Magnitudes (..., H, W) divided by their maximum; maps of zeros stay."""
    largest = magnitudes.amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, magnitudes / largest, 0.0)


def nan_where_zero(values: Tensor, maps: Tensor) -> Tensor:
    """Values (M, N, S), NaN where the map (M, N, H, W) is zero everywhere."""
    return torch.where(maps.flatten(2).any(2)[:, :, None], values, torch.nan)


def parameter_layers(network: nn.Module) -> list[nn.Module]:
    """Modules with parameters of their own, in the order of ``network.modules()``, the output's last."""
    return [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]


@contextmanager
def randomised_weights(layers: Sequence[nn.Module], *, seed: int) -> Iterator[None]:
    """Context in which layers have random weights; restores their own, also after an error.

    Args:
        layers: Modules; only parameters of their own are changed.
        seed: Of the draws, which depend on how many layers there are from the output.
    """
    saved = [
        (parameter, parameter.detach().clone()) for layer in layers for parameter in layer.parameters(recurse=False)
    ]
    try:
        for number, (parameter, values) in enumerate(
            reversed(saved)
        ):  # so that each parameter keeps its draw in later stages
            generator = torch.Generator().manual_seed(seed + number)
            drawn = torch.randn(values.shape, generator=generator).to(values)
            deviation = values.std(correction=0)
            with torch.no_grad():
                parameter.copy_(values.mean() + deviation * drawn)
        yield
    finally:
        with torch.no_grad():
            for parameter, values in saved:
                parameter.copy_(values)
