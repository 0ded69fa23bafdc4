"""Single deletion: rank correlation of each cell's relevance with the effect of deleting it alone."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Measurement, Metric, Score, whole_number
from pipeline.metrics.ranks import spearman


class SingleDeletion(Metric):
    """Rank correlation between the relevance of each cell and the drop of the output without it.

    Hesse et al. 2023, "FunnyBirds" (arXiv 2308.06248), on a grid of cells as in their IDSDS (2024).

    Args:
        grid: Cells along each side.
        baselines: Baseline that replaces a cell, see :func:`~pipeline.methods.baselines.baselines_of`.

    Raises:
        ValueError: If an option is out of range.
    """

    title: ClassVar[str] = "Single deletion"
    source: ClassVar[str] = "Hesse et al. 2023, arXiv 2308.06248, and their IDSDS (NeurIPS 2024)"
    scores: ClassVar[Mapping[str, Score]] = {
        "single_deletion": Score("Spearman's correlation of a cell's relevance and what its loss costs", "higher"),
    }

    def __init__(self, grid: int = 4, baselines: BaselineLike = 0) -> None:
        self.grid, self.baselines = whole_number("grid", grid, lowest=2), baselines

    @property
    def protocol(self) -> str:
        return (
            f"{self.grid} x {self.grid} cells; relevance of a cell: sum of the map; cost: the output explained, less "
            f"without the cell, which becomes {self.baselines!r} (0: the mean colour). One network as it is; IDSDS "
            "trains it on images without cells first. Undefined where all cells cost or hold the same."
        )

    def measure(self, batch: ExplainedBatch, maps: Tensor) -> Measurement:
        cell = cell_numbers(self.grid, maps.shape[2], maps.shape[3]).to(maps.device)
        count, images = self.grid**2, len(batch.images)
        relevance = maps.new_zeros(*maps.shape[:2], count).index_add_(2, cell.flatten(), maps.flatten(2))
        absent = baselines_of(self.baselines, batch.preprocessing)(batch.images, batch.seeds).expand_as(batch.images)
        image = torch.arange(images, device=maps.device).repeat_interleave(count + 1)

        def points(numbers: Tensor) -> Tensor:
            own, deleted = image[numbers], cell == (numbers % (count + 1) - 1)[:, None, None]  # -1: nothing is deleted
            return torch.where(deleted[:, None], absent[own], batch.images[own])

        outputs = batch.evaluate(image, points, batch.explained).reshape(images, count + 1)
        return Measurement({"single_deletion": spearman(relevance, outputs[:, :1] - outputs[:, 1:])})


def cell_numbers(grid: int, height: int, width: int) -> Tensor:
    """Number of the cell that each pixel lies in, int64 (height, width).

    Raises:
        ValueError: If there are more cells than pixels along a side.
    """
    if grid > min(height, width):
        raise ValueError(f"grid: {grid} cells do not fit images of {height} x {width} pixels")
    down, across = (torch.arange(size) * grid // size for size in (height, width))
    return down[:, None] * grid + across
