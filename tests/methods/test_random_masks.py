"""Random masks of RISE: those of the authors' code, drawn evenly, from the image's seed alone."""

from math import ceil

import numpy as np
import torch
from skimage.transform import resize

from pipeline.methods.random_masks import draw_cells, masks_from_cells

SIZE = (40, 56)


def test_masks_are_those_of_the_authors_code() -> None:
    """Enlarged by scikit-image as there; at the border that mirrors the cells where PyTorch repeats them."""
    cells, shifts = draw_cells(30, 5, 0.4, SIZE, seed=3)
    found = masks_from_cells(cells.double(), shifts, SIZE)
    assert found.shape == (30, 1, *SIZE)
    cell = [ceil(size / 5) for size in SIZE]
    for mask, coarse, (down, across) in zip(found, cells.double().numpy(), shifts.tolist(), strict=True):
        fine = resize(coarse, [6 * side for side in cell], order=1, mode="edge", anti_aliasing=False)
        expected = fine[down : down + SIZE[0], across : across + SIZE[1]]
        np.testing.assert_allclose(mask[0].numpy(), expected, atol=1e-12)


def test_masks_are_drawn_evenly() -> None:
    cells, shifts = draw_cells(4000, 7, 0.3, (40, 63), seed=0)
    assert abs(cells.double().mean() - 0.3) < 5 * (0.21 / cells.numel()) ** 0.5
    for axis, side in enumerate((6, 9)):
        counts = shifts[:, axis].bincount(minlength=side)
        assert len(counts) == side and (counts / 4000 - 1 / side).abs().max() < 5 * (1 / side / 4000) ** 0.5


def test_masks_depend_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    once, again, other = (draw_cells(20, 5, 0.5, SIZE, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(once[0], again[0]) and torch.equal(once[1], again[1])
    assert not torch.equal(once[0], other[0]) and not torch.equal(once[1], other[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_each_mask_has_its_own_crop() -> None:
    """A chunk of masks equals the same masks one by one."""
    cells, shifts = draw_cells(6, 4, 0.5, SIZE, seed=0)
    together = masks_from_cells(cells.double(), shifts, SIZE)
    alone = [masks_from_cells(cells[[i]].double(), shifts[[i]], SIZE) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-15)
