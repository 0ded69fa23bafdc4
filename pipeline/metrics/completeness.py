"""Completeness: difference between the sum of a map and the change of output that it explains."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score


class Completeness(Metric):
    """Sundararajan et al. 2017, "Axiomatic Attribution" (arXiv 1703.01365), proposition 1: sum(map) = F(x) - F(x')."""

    title: ClassVar[str] = "Completeness"
    source: ClassVar[str] = "Sundararajan et al. 2017, arXiv 1703.01365, proposition 1"
    scores: ClassVar[Mapping[str, Score]] = {
        "delta": Score("|sum(map) - (F(x) - F(baseline))|, in units of the output explained", "lower"),
        "relative_delta": Score("the same, of |F(x) - F(baseline)|", "lower"),
    }

    @property
    def protocol(self) -> str:
        return (
            "The convergence delta that the run stored, taken before the map was rounded; undefined for methods that "
            "do not promise completeness. Of controls, their sum; they have the magnitude of the map beside them."
        )

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        change = batch.column("score") - batch.column("baseline_score")
        delta = maps.double().sum((2, 3)) - change
        stored = batch.column("convergence_delta")  # of the map before it was rounded for the store
        delta = torch.cat((stored[None], torch.where(stored.isnan(), torch.nan, delta[1:]))).abs()
        relative = torch.where(change == 0, torch.nan, delta / change.abs())
        return Measurement({"delta": delta, "relative_delta": relative})
