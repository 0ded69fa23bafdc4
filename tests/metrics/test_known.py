"""Small metrics: definitions written again, and networks whose answers are known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pipeline.metrics import Completeness, Confidence, SingleDeletion, Sparseness
from pipeline.metrics.ranks import spearman
from pipeline.metrics.single_deletion import cell_numbers
from tests.metrics.known_networks import SIZE, Constant, Linear, OnePixel, Row, case, kinds
from tests.networks import images, small_vgg


def test_spearman_is_scipys_with_equal_values_too() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randint(0, 6, (2, 5, 40), generator=generator).double()
    expected = [spearmanr(one, other).statistic for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second).numpy(), expected, atol=1e-12)
    assert spearman(torch.ones(3), torch.arange(3.0)).isnan()


def test_completeness_is_the_stored_delta_and_the_controls_sum() -> None:
    x = images(3, SIZE, SIZE)
    rows = [Row(3.0, 1.0, -0.5), Row(1.0, 1.0, 0.25), Row(3.0, 1.0, math.nan)]
    found = case(Linear(), x, stored=rows)
    maps = kinds(found, x.sum(1))
    scores = Completeness().measure(found, maps).scores
    assert scores["delta"][0, :2].tolist() == [0.5, 0.25] and scores["relative_delta"][0, 0] == 0.25
    assert scores["relative_delta"][:, 1].isnan().all()  # nothing is to be explained
    assert scores["delta"][:, 2].isnan().all()  # the method promises nothing
    torch.testing.assert_close(scores["delta"][1:, 0], (maps[1:, 0].sum((1, 2)) - 2).abs())


def test_sparseness_of_known_maps_and_by_the_definitions() -> None:
    one, flat = torch.zeros(2, SIZE, SIZE).double()
    one[2, 3], flat = -7, flat + 0.5
    drawn = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(2)).double()
    maps = torch.stack((one, flat, drawn, torch.zeros_like(one)))[:, None]
    scores = Sparseness().measure(case(Linear(), images(1, SIZE, SIZE)), maps).scores
    gini, entropy = scores["gini"][:, 0], scores["entropy"][:, 0]
    pixels = SIZE**2
    torch.testing.assert_close(gini[:2], torch.tensor([1 - 1 / pixels, 0.0], dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(entropy[:2], torch.tensor([0.0, math.log(pixels)], dtype=torch.float64))
    sizes = np.sort(np.abs(drawn.numpy().ravel()))
    numbers = np.arange(1, pixels + 1)
    assert abs(gini[2] - ((2 * numbers - pixels - 1) * sizes).sum() / (pixels * sizes.sum())) < 1e-12
    shares = sizes / sizes.sum()
    assert abs(entropy[2] + (shares * np.log(shares)).sum()) < 1e-12
    assert gini[3].isnan() and entropy[3].isnan()


def test_an_even_random_map_has_a_gini_of_a_third() -> None:
    x = images(4, 64, 64)
    found = case(Constant(), x)
    gini = Sparseness().measure(found, kinds(found, x.sum(1))).scores["gini"][1]
    assert (gini - 1 / 3).abs().max() < 0.02


def test_confidence_is_that_behind_the_map() -> None:
    network, x, targets = small_vgg().double(), images(3, SIZE, SIZE), [2, 5, 7]
    maps = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3)).double()
    maps[1, 1] = -1.0  # nothing speaks for the class
    scores = Confidence().measure(case(network, x, targets=targets), maps).scores
    for kind in range(2):
        for image, target in enumerate(targets):
            shown = np.maximum(maps[kind, image].numpy(), 0)
            shown = shown / shown.max() if shown.max() > 0 else shown
            with torch.no_grad():
                before = network(x[image][None]).softmax(1)[0, target].item()
                after = network((x[image] * torch.from_numpy(shown))[None]).softmax(1)[0, target].item()
            assert abs(scores["average_drop"][kind, image] - max(0, before - after) / before) < 1e-12
            assert scores["average_increase"][kind, image] == float(after > before)


def test_nothing_drops_behind_the_pixel_that_is_read_or_of_a_constant() -> None:
    x = images(3, SIZE, SIZE)
    for network, maps in ((OnePixel(), OnePixel().map(x).abs()), (Constant(), x.sum(1))):
        scores = Confidence().measure(case(network, x), maps[None]).scores
        assert (scores["average_drop"] == 0).all() and (scores["average_increase"] == 0).all()


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
    scores = SingleDeletion(grid=grid).measure(case(network, x, targets=targets), maps).scores["single_deletion"]
    for kind in range(3):
        for image, target in enumerate(targets):
            expected = single(network, x[image], maps[kind, image], target=target, grid=grid)
            assert abs(scores[kind, image] - expected) < 1e-12


def test_single_deletion_of_a_linear_model_is_one_and_of_a_constant_undefined() -> None:
    network, x = Linear(), images(3, SIZE, SIZE)
    found = case(network, x)
    scores = SingleDeletion().measure(found, kinds(found, network.map(x))).scores["single_deletion"]
    torch.testing.assert_close(scores[0], torch.ones(3).double())
    assert (scores[1:] < 0.9).all()
    assert SingleDeletion().measure(case(Constant(), x), x.sum(1)[None]).scores["single_deletion"].isnan().all()


def test_cells_cover_any_image_and_no_more_than_it_has() -> None:
    found = cell_numbers(4, 10, 7)
    assert found.unique().tolist() == list(range(16)) and found[0, 0] == 0 and found[-1, -1] == 15
    with pytest.raises(ValueError, match="8 cells do not fit images of 10 x 7 pixels"):
        cell_numbers(8, 10, 7)
