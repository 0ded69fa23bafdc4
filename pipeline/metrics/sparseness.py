"""Sparseness of a map: Gini index and entropy of its magnitudes."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score


class Sparseness(Metric):
    """Gini index and entropy of a map's magnitudes.

    Chalasani et al. 2020, "Concise Explanations" (arXiv 1810.06583); Bhatt et al. 2020, "Evaluating and Aggregating
    Feature-based Model Explanations" (arXiv 2005.00631), there called complexity.
    """

    title: ClassVar[str] = "Sparseness"
    source: ClassVar[str] = "Chalasani et al. 2020, arXiv 1810.06583; Bhatt et al. 2020, arXiv 2005.00631"
    scores: ClassVar[Mapping[str, Score]] = {
        "gini": Score("Gini index of |map|: 0 an even map, towards 1 a single pixel", "neither"),
        "entropy": Score("entropy of |map| / sum|map| in nats: 0 a single pixel, log(pixels) an even map", "neither"),
    }

    @property
    def protocol(self) -> str:
        return "Of the map summed over channels, pixel by pixel; undefined for a map of zeros. Sparse is not faithful."

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        shares = maps.double().abs().flatten(2)
        shares = shares / shares.sum(2, keepdim=True)  # NaN for a map of zeros
        return Measurement({"gini": gini_index(shares), "entropy": torch.special.entr(shares).sum(2)})


def gini_index(shares: Tensor) -> Tensor:
    """Gini index of shares (..., n) that sum to one: sum_i (2 i - n - 1) a_(i) / n, a sorted upwards."""
    count = shares.shape[-1]
    weights = 2 * torch.arange(1, count + 1, dtype=shares.dtype, device=shares.device) - count - 1
    return (shares.sort(-1).values * weights).sum(-1) / count
