"""Localisation: share of a map on the object (pointing game, energy, relevance mass and rank)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.explained_batch import ExplainedBatch, StoredExplanation
from pipeline.metrics.metric import Measurement, Metric, Score, positive_number
from pipeline.metrics.object_regions import ObjectRegion, input_mask, read_regions

OBJECT_CHOICES = ("target", "any")


class Localisation(Metric):
    """Pointing game, energy inside, relevance mass and rank accuracy.

    Zhang et al. 2018, "Top-down Neural Attention by Excitation Backprop" (arXiv 1608.00507), section 4.1, with the
    tolerance as TorchRay has it; Wang et al. 2020, "Score-CAM" (arXiv 1910.01279); Arras et al. 2022,
    "CLEVR-XAI" (doi 10.1016/j.inffus.2021.11.008).

    Args:
        regions: A folder of XML files or masks, or a COCO file: see :mod:`pipeline.metrics.object_regions`.
        of: ``target`` counts objects of the class explained, ``any`` all objects.
        tolerance: Pixels of the model's input by which the pointing game may miss.

    Raises:
        ValueError: If the regions cannot be read, or an option is out of range.
    """

    title: ClassVar[str] = "Localisation"
    source: ClassVar[str] = "Zhang et al. 2018, arXiv 1608.00507; Wang et al. 2020, arXiv 1910.01279; Arras et al. 2022"
    scores: ClassVar[Mapping[str, Score]] = {
        "pointing_game": Score("1 where the map's maximum hits the object, else 0", "higher"),
        "energy_inside": Score("share of the map's positive part inside", "higher"),
        "relevance_mass": Score("share of |map| inside", "higher"),
        "relevance_rank": Score(
            "share of the K pixels with the largest |map| that are inside, K pixels being inside", "higher"
        ),
    }

    def __init__(self, regions: str | None = None, of: str = "target", tolerance: float = 15) -> None:
        if regions is None:
            raise ValueError("regions: say where the objects are: task.localisation.regions=PATH")
        if of not in OBJECT_CHOICES:
            raise ValueError(f"of must be one of {', '.join(OBJECT_CHOICES)}, not {of!r}")
        self._regions, self.of, self.tolerance = (
            read_regions(Path(regions)),
            of,
            positive_number("tolerance", tolerance),
        )

    @property
    def protocol(self) -> str:
        objects = "of the class explained (by its name, or by the folder's if that is the class explained)"
        return (
            f"Objects: {self._regions.description}, {objects if self.of == 'target' else 'all of them'}, cut and "
            "scaled as the model's input is; an explanation without one is undefined. A maximum hits within "
            f"{self.tolerance:g} pixels of the input; of several equal maxima the share that hits counts. Means are "
            "over explanations, not classes."
        )

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        size = (maps.shape[2], maps.shape[3])
        masks = torch.stack([input_mask(self._counted(one), one.crop, size) for one in batch.stored]).to(maps.device)
        known = masks.any(2).any(1)
        near = torch.stack([dilate_mask(mask, self.tolerance) for mask in masks])
        values, magnitude = maps.double(), maps.double().abs()
        largest = values == values.amax((2, 3), keepdim=True)
        scores = {
            "pointing_game": share_inside(largest.double(), near),
            "energy_inside": share_inside(values.clamp_min(0), masks),
            "relevance_mass": share_inside(magnitude, masks),
            "relevance_rank": rank_accuracy(magnitude, masks),
        }
        return Measurement({name: torch.where(known, score, torch.nan) for name, score in scores.items()})

    def _counted(self, stored: StoredExplanation) -> list[ObjectRegion]:
        """The objects that count for an explanation."""
        objects = self._regions.of(stored.path)
        if self.of == "any":
            return objects
        labelled = stored.label == stored.target
        names = {stored.class_name.casefold(), *([stored.path.parent.name.casefold()] if labelled else [])}
        unnamed = labelled or stored.label < 0  # a mask is of the label's class, if there is one
        return [one for one in objects if (unnamed if one.name is None else one.name.casefold() in names)]


def share_inside(values: Tensor, masks: Tensor) -> Tensor:
    """Share of values (M, N, H, W), none below 0, inside masks (N, H, W): (M, N), NaN where all are 0."""
    return (values * masks).sum((2, 3)) / values.sum((2, 3))


def rank_accuracy(magnitudes: Tensor, masks: Tensor) -> Tensor:
    """Share of the K largest (M, N, H, W) inside masks (N, H, W) of K pixels; equal ones at the limit count in part."""
    accuracy = magnitudes.new_full(magnitudes.shape[:2], torch.nan)
    for image, mask in enumerate(masks):
        count = int(mask.sum())
        if not count:
            continue
        for kind, values in enumerate(magnitudes[:, image]):
            limit = values.flatten().topk(count).values[-1]
            above, at = values > limit, values == limit
            weight = (count - above.sum()).double() / at.sum()  # of each pixel at the limit
            accuracy[kind, image] = ((above & mask).sum() + weight * (at & mask).sum()) / count
    return accuracy


def dilate_mask(mask: Tensor, tolerance: float) -> Tensor:
    """Dilation of a mask (H, W) by a disc: pixels nearer than the tolerance to a pixel of it, centre to centre."""
    near, (height, width) = mask.clone(), mask.shape
    reach = min(int(tolerance), height - 1)
    for down in range(-reach, reach + 1):
        across = min(int(max(tolerance**2 - down**2, 0) ** 0.5), width)
        across -= down**2 + across**2 >= tolerance**2  # the limit is exclusive
        if across < 0:
            continue
        shifted = torch.zeros_like(mask)
        above, below = max(0, down), min(height, height + down)
        shifted[above:below] = mask[above - down : below - down]
        # mask pixels within `across` columns, as a difference of running counts
        counts = torch.nn.functional.pad(shifted.int(), (across + 1, across)).cumsum(1)
        near |= counts[:, 2 * across + 1 :] - counts[:, :width] > 0
    return near
