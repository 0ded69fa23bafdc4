"""How much a map changes when the image hardly does."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.methods.random_draws import sample_seeds
from pipeline.metrics.case import Case
from pipeline.metrics.control_maps import CONTROLS
from pipeline.metrics.metric import Measured, Metric, Score, positive, whole


class Sensitivity(Metric):
    """max ||map(x + d) - map(x)|| / ||map(x)|| over draws of d with |d| <= radius everywhere.

    Yeh et al. 2019 (arXiv 1901.09392), section 4, estimated by draws; over the map's own norm, as in Captum,
    whose radius and number of draws are the defaults.

    Args:
        radius: Largest change of a value of the model's input.
        samples: Draws for each image.

    Raises:
        ValueError: If an option is out of range.
    """

    title: ClassVar[str] = "Max-sensitivity"
    source: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392, section 4"
    scores: ClassVar[Mapping[str, Score]] = {
        "max_sensitivity": Score("largest relative change (L2) of the map near the image", "lower"),
    }

    def __init__(self, radius: float = 0.02, samples: int = 10) -> None:
        self.radius, self.samples = positive("radius", radius), whole("samples", samples)

    @property
    def protocol(self) -> str:
        return (
            "Each image is explained anew, for the same class and with the same draws of the method, with uniform "
            f"noise of at most {self.radius:g} added to each value of the model's input, {self.samples} times. A "
            "map that does not look at the image has 0, so low is good only beside good scores of faithfulness."
        )

    def measure(self, case: Case, maps: Tensor) -> Measured:
        seeds = sample_seeds(case.seeds, range(self.samples))
        clean = _kinds(case, case.images)
        largest = torch.zeros(clean.shape[:2], dtype=torch.float64, device=clean.device)
        for number in range(self.samples):
            change = _kinds(case, case.images + self.radius * uniform(case.images, seeds[:, number])) - clean
            largest = torch.maximum(largest, norms(change))
        size = norms(clean)
        return Measured({"max_sensitivity": torch.where(size > 0, largest / size, torch.nan)})


def _kinds(case: Case, images: Tensor) -> Tensor:
    """The method's maps of images near the case's, and the controls, (M, N, H, W)."""
    own = case.explain(images)
    return torch.stack((own, *(control(images, case.seeds).to(own.dtype) for control in CONTROLS.values())))


def norms(maps: Tensor) -> Tensor:
    """L2 norm of each map (M, N, H, W), float64 (M, N)."""
    found: Tensor = torch.linalg.vector_norm(maps.double(), dim=(2, 3))
    return found


def uniform(images: Tensor, seeds: Tensor) -> Tensor:
    """Draws from [-1, 1) like images (N, C, H, W), one seed each."""
    drawn = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return 2 * torch.stack(drawn).to(images) - 1
