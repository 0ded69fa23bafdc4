"""Average drop and increase of confidence, with all but the relevant pixels masked."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score


class Confidence(Metric):
    """Average drop and increase: Chattopadhyay et al. 2018, "Grad-CAM++" (arXiv 1710.11063), section 4.1."""

    title: ClassVar[str] = "Average drop and increase"
    source: ClassVar[str] = "Chattopadhyay et al. 2018, Grad-CAM++, arXiv 1710.11063, section 4.1"
    scores: ClassVar[Mapping[str, Score]] = {
        "average_drop": Score("max(0, p - p behind the map) / p", "lower"),
        "average_increase": Score("1 where p behind the map is higher than p, else 0", "higher"),
    }

    @property
    def protocol(self) -> str:
        return (
            "The image, as the model's input, times the map's positive part over its maximum: pixels without relevance "
            "take the mean colour. p is the probability of the class explained. Maps of single pixels hide nearly all "
            "of the image, whatever they say."
        )

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        kinds, images = maps.shape[:2]
        shown = torch.cat((torch.ones_like(maps[:1]), opacity(maps))).flatten(0, 1).to(batch.images)  # first, unmasked
        image = torch.arange(images, device=maps.device).repeat(1 + kinds)

        def points(numbers: Tensor) -> Tensor:
            return batch.images[image[numbers]] * shown[numbers][:, None]

        before, *behind = batch.evaluate(image, points, batch.probability).double().reshape(1 + kinds, images)
        after = torch.stack(behind)
        drop = torch.where(before > 0, (before - after).clamp_min(0) / before, torch.nan)
        return Measurement({"average_drop": drop, "average_increase": (after > before).double()})


def opacity(maps: Tensor) -> Tensor:
    """Mask in [0, 1]: positive part of maps (M, N, H, W) over its maximum; zeros where there is none."""
    positive = maps.clamp_min(0)
    largest = positive.amax((2, 3), keepdim=True)
    return torch.where(largest > 0, positive / largest, 0.0)
