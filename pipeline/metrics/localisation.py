"""Whether a map lies on the object."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.metrics.case import Case, Stored
from pipeline.metrics.metric import Measured, Metric, Score, positive
from pipeline.metrics.object_regions import Region, on_input, read_regions

OF = ("target", "any")


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
        if of not in OF:
            raise ValueError(f"of must be one of {', '.join(OF)}, not {of!r}")
        self._regions, self.of, self.tolerance = read_regions(Path(regions)), of, positive("tolerance", tolerance)

    @property
    def protocol(self) -> str:
        objects = "of the class explained (by its name, or by the folder's if that is the class explained)"
        return (
            f"Objects: {self._regions.words}, {objects if self.of == 'target' else 'all of them'}, cut and scaled "
            "as the model's input is; an explanation without one is undefined. A maximum hits within "
            f"{self.tolerance:g} pixels of the input; of several equal maxima the share that hits counts. Means are "
            "over explanations, not classes."
        )

    def measure(self, case: Case, maps: Tensor) -> Measured:
        size = (maps.shape[2], maps.shape[3])
        masks = torch.stack([on_input(self._counted(one), one.crop, size) for one in case.stored]).to(maps.device)
        known = masks.any(2).any(1)
        near = torch.stack([within(mask, self.tolerance) for mask in masks])
        values, magnitude = maps.double(), maps.double().abs()
        largest = values == values.amax((2, 3), keepdim=True)
        scores = {
            "pointing_game": share(largest.double(), near),
            "energy_inside": share(values.clamp_min(0), masks),
            "relevance_mass": share(magnitude, masks),
            "relevance_rank": rank_accuracy(magnitude, masks),
        }
        return Measured({name: torch.where(known, found, torch.nan) for name, found in scores.items()})

    def _counted(self, stored: Stored) -> list[Region]:
        objects = self._regions.of(stored.path)
        if self.of == "any":
            return objects
        labelled = stored.label == stored.target
        names = {stored.class_name.casefold(), *([stored.path.parent.name.casefold()] if labelled else [])}
        unnamed = labelled or stored.label < 0
        return [one for one in objects if (unnamed if one.name is None else one.name.casefold() in names)]


def share(values: Tensor, masks: Tensor) -> Tensor:
    """Share of values (M, N, H, W), none below 0, inside masks (N, H, W): (M, N), NaN where all are 0."""
    return (values * masks).sum((2, 3)) / values.sum((2, 3))


def rank_accuracy(magnitudes: Tensor, masks: Tensor) -> Tensor:
    """Share of the K largest (M, N, H, W) inside masks (N, H, W) of K pixels; equal ones at the limit count in part."""
    found = magnitudes.new_full(magnitudes.shape[:2], torch.nan)
    for image, mask in enumerate(masks):
        count = int(mask.sum())
        if not count:
            continue
        for kind, values in enumerate(magnitudes[:, image]):
            limit = values.flatten().topk(count).values[-1]
            above, at = values > limit, values == limit
            room = (count - above.sum()).double() / at.sum()
            found[kind, image] = ((above & mask).sum() + room * (at & mask).sum()) / count
    return found


def within(mask: Tensor, tolerance: float) -> Tensor:
    """Pixels less than so far from a pixel of a mask (H, W), centre to centre; bool (H, W)."""
    near, (height, width) = mask.clone(), mask.shape
    reach = min(int(tolerance), height - 1)
    for down in range(-reach, reach + 1):
        across = min(int(max(tolerance**2 - down**2, 0) ** 0.5), width)
        across -= down**2 + across**2 >= tolerance**2
        if across < 0:
            continue
        row = torch.zeros_like(mask)
        above, below = max(0, down), min(height, height + down)
        row[above:below] = mask[above - down : below - down]
        counts = torch.nn.functional.pad(row.int(), (across + 1, across)).cumsum(1)
        near |= counts[:, 2 * across + 1 :] - counts[:, :width] > 0
    return near
