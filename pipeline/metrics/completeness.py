"""Whether a map adds up to what it explains."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.case import Case
from pipeline.metrics.metric import Measured, Metric, Score


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

    def measure(self, case: Case, maps: Tensor) -> Measured:
        change = case.column("score") - case.column("baseline_score")
        delta = maps.double().sum((2, 3)) - change
        own = case.column("convergence_delta")
        delta = torch.cat((own[None], torch.where(own.isnan(), torch.nan, delta[1:]))).abs()
        relative = torch.where(change == 0, torch.nan, delta / change.abs())
        return Measured({"delta": delta, "relative_delta": relative})
