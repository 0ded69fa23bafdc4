"""Max-sensitivity: largest relative change of a map under small perturbations of the image."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.methods.random_draws import sample_seeds
from pipeline.metrics.control_maps import CONTROLS
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score, positive_number, whole_number


class Sensitivity(Metric):
    """max ||map(x + d) - map(x)|| / ||map(x)|| over draws of d with |d| <= radius everywhere.

    Yeh et al. 2019 (arXiv 1901.09392), section 4, estimated by draws; over the map's own norm, as in Captum,
    whose radius and number of draws are the defaults.

    Args:
        radius: Largest change of a value of the model's input.
        samples: Number of perturbations of each image.

    Raises:
        ValueError: If an option is out of range.
    """

    title: ClassVar[str] = "Max-sensitivity"
    source: ClassVar[str] = "Yeh et al. 2019, arXiv 1901.09392, section 4"
    scores: ClassVar[Mapping[str, Score]] = {
        "max_sensitivity": Score("largest relative change (L2) of the map near the image", "lower"),
    }

    def __init__(self, radius: float = 0.02, samples: int = 10) -> None:
        self.radius, self.samples = positive_number("radius", radius), whole_number("samples", samples)

    @property
    def protocol(self) -> str:
        return (
            "Each image is explained anew, for the same class and with the same draws of the method, with uniform "
            f"noise of at most {self.radius:g} added to each value of the model's input, {self.samples} times. A "
            "map that does not look at the image has 0, so low is good only beside good scores of faithfulness."
        )

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        seeds = sample_seeds(batch.seeds, range(self.samples))
        clean = _kinds(batch, batch.images)
        largest = torch.zeros(clean.shape[:2], dtype=torch.float64, device=clean.device)
        for number in range(self.samples):
            change = _kinds(batch, batch.images + self.radius * uniform_noise(batch.images, seeds[:, number])) - clean
            largest = torch.maximum(largest, l2_norms(change))
        norms = l2_norms(clean)
        return Measurement({"max_sensitivity": torch.where(norms > 0, largest / norms, torch.nan)})


def _kinds(batch: ExplainedBatch, images: Tensor) -> Tensor:
    """Maps of perturbed images by the method, and their controls, (M, N, H, W)."""
    own = batch.explain(images)
    return torch.stack((own, *(control(images, batch.seeds).to(own.dtype) for control in CONTROLS.values())))


def l2_norms(maps: Tensor) -> Tensor:
    """L2 norm of each map (M, N, H, W), float64 (M, N)."""
    norms: Tensor = torch.linalg.vector_norm(maps.double(), dim=(2, 3))
    return norms


def uniform_noise(images: Tensor, seeds: Tensor) -> Tensor:
    """Uniform noise in [-1, 1) of the shape of images (N, C, H, W), one seed each."""
    drawn = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return 2 * torch.stack(drawn).to(images) - 1
