"""RISE: mean output under random masks, over the masks that let a pixel through."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.engine.geometry import Grid
from pipeline.methods.baselines import BaselineLike, baselines_of
from pipeline.methods.method import Attribution, Method
from pipeline.methods.random_masks import draw_cells, masks_from_cells
from pipeline.view import View


class Rise(Method):
    """Sum of F(b + M * (x - b)) * M over random masks M, divided by their number and by their mean.

    Petsiuk et al. 2018, "RISE" (arXiv 1806.07421), equation 6 and section 3.2: a mask is a grid of cells, each 1 with
    probability ``p1`` and else 0, interpolated bilinearly to a size one cell larger than the image and cropped at a
    random position. Cells are ceil(size / grid) pixels, as in the authors' code, which are the paper's where ``grid``
    divides the size. The paper masks with b = 0 and explains probabilities (``output=probability``). Each image draws
    its masks from its own seed.

    Args:
        model: A network in eval mode, or a view of one.
        n_masks: Masks for each image; the paper takes 4000 for VGG-16 and 8000 for ResNet-50.
        grid: Cells along each side of a mask.
        p1: Probability that a cell lets the image through.
        subtract_mean: Subtract the mean output over the masks from each output, so that a pixel without influence has
            0 and a map has signs; False gives the paper's map, with that mean in every pixel.
        baselines: Values of masked pixels, see :func:`~pipeline.methods.baselines.baselines_of`.
        internal_batch_size: Masked images in one forward pass; None finds the fastest.

    Raises:
        ValueError: If an option is out of range.
    """

    reads_scores: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913 - the options of the method
        self,
        model: nn.Module | View,
        *,
        n_masks: int = 4000,
        grid: int = 7,
        p1: float = 0.5,
        subtract_mean: bool = True,
        baselines: BaselineLike = 0,
        internal_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, internal_batch_size=internal_batch_size, prepare=True)
        for option, value in (("n_masks", n_masks), ("grid", grid)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{option} must be a whole number from 1, not {value!r}")
        if not 0 < p1 <= 1:
            raise ValueError(f"p1 must be above 0 and at most 1, not {p1!r}")
        self.n_masks, self.grid, self.p1, self.subtract_mean = n_masks, grid, p1, subtract_mean
        self.baselines = baselines_of(baselines, self.view.preprocessing)

    def geometry(self, shape: tuple[int, int, int], channels: str = "keep") -> Grid:
        if self.grid > min(shape[1:]):
            raise ValueError(f"grid: {self.grid} cells do not fit images of {shape[1]} x {shape[2]} pixels")
        return Grid(shape, shape[1:])  # one value for each pixel: a mask is the same for all channels

    def explain(self, images: Tensor, targets: Tensor, *, scores: Tensor, seeds: Tensor) -> Attribution:
        height, width = images.shape[2:]
        baselines = self.baselines(images, seeds)
        everywhere = baselines.expand_as(images)
        drawn = [draw_cells(self.n_masks, self.grid, self.p1, (height, width), seed=seed) for seed in seeds.tolist()]
        cells, shifts = (torch.cat(parts).to(images.device) for parts in zip(*drawn, strict=True))
        sums = images.new_zeros(*targets.shape, 1, height, width)  # of output times mask
        mask_sums, means = images.new_zeros(len(images), 1, 1, height, width), images.new_zeros(targets.shape)

        def evaluate_chunk(start: int, stop: int) -> None:
            image = torch.arange(start, stop, device=images.device) // self.n_masks
            masks = masks_from_cells(cells[start:stop].to(images), shifts[start:stop], (height, width))
            values = self.view.values(torch.lerp(everywhere[image], images[image], masks), targets[image])
            sums.index_add_(0, image, values[:, :, None, None, None] * masks[:, None])
            mask_sums.index_add_(0, image, masks[:, None])
            means.index_add_(0, image, values / self.n_masks)

        self.evaluator.evaluate(len(cells), evaluate_chunk)
        undefined = torch.full_like(scores, torch.nan)
        # sum of (F - mean) M = sum of F M - mean * sum of M: in one pass over the masks
        sums = sums - means[:, :, None, None, None] * mask_sums if self.subtract_mean else sums
        maps = sums / (self.n_masks * self.p1)
        return Attribution(maps, self.scores(baselines, targets), undefined, evaluations=self.n_masks + 1)
