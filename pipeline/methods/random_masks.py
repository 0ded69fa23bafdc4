"""Random smooth masks of RISE: coarse cells, which are interpolated to the image's size chunk by chunk."""

from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def draw_cells(count: int, grid: int, p1: float, image: tuple[int, int], *, seed: int) -> tuple[Tensor, Tensor]:
    """Draw the coarse cells of an image's masks, and the shifts of the masks against the image.

    Args:
        count: Number of masks.
        grid: Cells along each side.
        p1: Probability of a 1.
        image: (H, W).
        seed: The image's own.

    Returns:
        Cells, bool (count, grid, grid), and the image's top left corner in the enlarged cells, int64 (count, 2).
    """
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same masks on any device
    cells = torch.rand(count, grid, grid, generator=generator) < p1
    shifts = [torch.randint(ceil(size / grid), (count,), generator=generator) for size in image]
    return cells, torch.stack(shifts, 1)


def masks_from_cells(cells: Tensor, shifts: Tensor, image: tuple[int, int]) -> Tensor:
    """Interpolate cells (P, grid, grid) bilinearly to one cell more than the image, and crop them at the shifts.

    Petsiuk et al. 2018, "RISE" (arXiv 1806.07421), section 3.2.

    Returns:
        (P, 1, H, W) in [0, 1].
    """
    # bilinear interpolation is separable, so each mask is two small matrix products of its own crop alone
    down, across = (
        _interpolation_matrix(size, cells.shape[1]).to(cells)[shift[:, None] + torch.arange(size, device=cells.device)]
        for size, shift in zip(image, shifts.unbind(1), strict=True)
    )  # (P, H, grid), (P, W, grid)
    return (down @ cells @ across.mT)[:, None]


def _interpolation_matrix(size: int, grid: int) -> Tensor:
    """Weight of each cell at each pixel along one axis of the enlarged cells, (pixels, grid).

    In float64: rounded once, when it is cast to the dtype of the images.
    """
    cells = torch.eye(grid, dtype=torch.float64)[None]
    return interpolate(cells, (grid + 1) * ceil(size / grid), mode="linear")[0].T
