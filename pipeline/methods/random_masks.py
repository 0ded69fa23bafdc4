"""Random smooth masks: coarse cells that are kept, and made as fine as the image only when they are used."""

from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def draw_cells(count: int, grid: int, p1: float, image: tuple[int, int], *, seed: int) -> tuple[Tensor, Tensor]:
    """What masks of an image of (H, W) are made of.

    Args:
        count: Masks.
        grid: Cells along each side.
        p1: Probability of a 1.
        image: (H, W).
        seed: The image's own.

    Returns:
        Cells, bool (count, grid, grid), and where the image starts in the enlarged cells, int64 (count, 2).
    """
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(count, grid, grid, generator=generator) < p1
    shifts = [torch.randint(ceil(size / grid), (count,), generator=generator) for size in image]
    return cells, torch.stack(shifts, 1)


def masks_of(cells: Tensor, shifts: Tensor, image: tuple[int, int]) -> Tensor:
    """Cells (P, grid, grid), enlarged bilinearly by one cell more than the image, cut at the shifts: (P, 1, H, W).

    Petsiuk et al. 2018, "RISE" (arXiv 1806.07421), section 3.2.
    """
    down, across = (
        _interpolation(size, cells.shape[1]).to(cells)[shift[:, None] + torch.arange(size, device=cells.device)]
        for size, shift in zip(image, shifts.unbind(1), strict=True)
    )
    return (down @ cells @ across.mT)[:, None]


def _interpolation(size: int, grid: int) -> Tensor:
    """Share of each cell in each place of the enlarged line, float64 (places, grid)."""
    cells = torch.eye(grid, dtype=torch.float64)[None]
    return interpolate(cells, (grid + 1) * ceil(size / grid), mode="linear")[0].T
