"""Single deletion: a literal loop, and networks with known answers."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pipeline.metrics import SingleDeletion
from pipeline.metrics.single_deletion import cell_numbers
from tests.metrics.known_networks import SIZE, Constant, Linear, batch_of, maps_with_controls
from tests.networks import images, small_vgg


def single(network: nn.Module, image: Tensor, map: Tensor, *, target: int, grid: int) -> float:
    relevance, cost = [], []
    side = SIZE // grid
    with torch.no_grad():
        whole = network(image[None])[0, target].item()
        for row in range(grid):
            for column in range(grid):
                place = (slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
                without = image.clone()
                without[(slice(None), *place)] = 0
                relevance.append(map[place].sum().item())
                cost.append(whole - network(without[None])[0, target].item())
    return float(spearmanr(relevance, cost).statistic)


@pytest.mark.parametrize("grid", [2, 4])
def test_single_deletion_replica(grid: int) -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [2, 5]
    maps = torch.randn(3, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(4)).double()
    scores = SingleDeletion(grid=grid).measure(batch_of(network, x, targets=targets), maps).scores["single_deletion"]
    for kind in range(3):
        for image, target in enumerate(targets):
            expected = single(network, x[image], maps[kind, image], target=target, grid=grid)
            assert abs(scores[kind, image] - expected) < 1e-12


def test_single_deletion_of_a_linear_model_is_one_and_of_a_constant_undefined() -> None:
    network, x = Linear(), images(3, SIZE, SIZE)
    batch = batch_of(network, x)
    scores = SingleDeletion().measure(batch, maps_with_controls(batch, network.map(x))).scores["single_deletion"]
    torch.testing.assert_close(scores[0], torch.ones(3).double())
    assert (scores[1:] < 0.9).all()
    assert SingleDeletion().measure(batch_of(Constant(), x), x.sum(1)[None]).scores["single_deletion"].isnan().all()


def test_cells_cover_any_image_and_no_more_than_it_has() -> None:
    cells = cell_numbers(4, 10, 7)
    assert cells.unique().tolist() == list(range(16)) and cells[0, 0] == 0 and cells[-1, -1] == 15
    with pytest.raises(ValueError, match="8 cells do not fit images of 10 x 7 pixels"):
        cell_numbers(8, 10, 7)
