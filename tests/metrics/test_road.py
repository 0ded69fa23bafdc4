"""ROAD: the authors' sparse system solved directly, a literal loop, and networks whose answers are known."""

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix, lil_matrix
from scipy.sparse.linalg import spsolve

from pipeline.methods.random_draws import normal_noise, sample_seeds
from pipeline.metrics import Road
from pipeline.metrics.imputation import impute
from pipeline.metrics.ranks import pixel_ranks
from tests.metrics.known_networks import SIZE, Constant, OnePixel, case, kinds
from tests.networks import images, small_vgg

AROUND = {(i, j): 1 / 6 if 0 in (i, j) else 1 / 12 for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)}


def solved(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """``NoisyLinearImputer`` without its noise: image (C, H, W), missing (H, W)."""
    height, width = missing.shape
    number = {tuple(place): i for i, place in enumerate(np.argwhere(missing).tolist())}
    matrix, right = lil_matrix((len(number), len(number))), np.zeros((len(number), len(image)))
    for (row, column), i in number.items():
        there = {
            (row + a, column + b): w
            for (a, b), w in AROUND.items()
            if 0 <= row + a < height and 0 <= column + b < width
        }
        matrix[i, i] = sum(there.values())
        for (a, b), weight in there.items():
            if (a, b) in number:
                matrix[i, number[a, b]] = -weight
            else:
                right[i] += weight * image[:, a, b]
    filled = image.copy()
    filled[:, missing] = spsolve(csc_matrix(matrix), right).reshape(len(number), -1).T
    return filled


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_imputation_solves_the_authors_system(dtype: torch.dtype) -> None:
    x = images(3, 32, 40, dtype)
    missing = torch.zeros(3, 1, 32, 40, dtype=torch.bool)
    missing[0, :, :30, 3:] = True  # one large hole at the border
    missing[1] = torch.rand(1, 32, 40, generator=torch.Generator().manual_seed(0)) < 0.9
    found = impute(x, missing)
    for image in range(3):
        expected = (
            solved(x[image].double().numpy(), missing[image, 0].numpy()) if missing[image].any() else x[image].numpy()
        )
        assert np.abs(found[image].numpy() - expected).max() < 1e-4  # a hundredth of ROAD's noise
    assert torch.equal(found[2], x[2]) and torch.equal(found[~missing.expand_as(x)], x[~missing.expand_as(x)])


def test_replica() -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [3, 7]
    found, metric = case(network, x, targets=targets), Road(percentages=[20, 50, 90])
    targets = network(x).argmax(1).tolist()
    found = case(network, x, targets=targets)
    maps = kinds(found, torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).double())
    measured = metric.measure(found, maps)
    order, seeds = pixel_ranks(maps, found.seeds), sample_seeds(found.seeds, range(3))
    for kind in range(len(maps)):
        for i in range(2):
            for name in ("road_most", "road_least"):
                stays = []
                for p, percentage in enumerate((20, 50, 90)):
                    count = round(SIZE**2 * percentage / 100)
                    place = order[kind, i] if name == "road_most" else SIZE**2 - 1 - order[kind, i]
                    missing = (place < count).numpy()
                    image = torch.from_numpy(solved(x[i].numpy(), missing))
                    noise = 0.01 * normal_noise(x[i][None], seeds[i, p][None])[0]
                    image[:, missing] += noise[:, missing]
                    with torch.no_grad():
                        stays.append(float(network(image[None]).argmax() == targets[i]))
                assert measured.curves[name][kind, i].tolist() == stays
                assert abs(measured.scores[name][kind, i] - np.mean(stays)) < 1e-12
    scores = measured.scores
    torch.testing.assert_close(scores["road"], (scores["road_least"] - scores["road_most"]) / 2)


def test_a_constant_stays_whatever_is_removed() -> None:
    x = images(2, SIZE, SIZE)
    found = case(Constant(), x)
    scores = Road(percentages=[30, 80]).measure(found, kinds(found, x.sum(1))).scores
    assert (scores["road_most"] == 1).all() and (scores["road_least"] == 1).all() and (scores["road"] == 0).all()


def test_of_one_pixel_that_stands_out_its_removal_decides() -> None:
    network, x = OnePixel(), torch.full((2, 3, SIZE, SIZE), -0.5, dtype=torch.float64)
    x[:, :, 5, 9] = 1
    found = case(network, x)
    map = torch.zeros(2, SIZE, SIZE, dtype=torch.float64)
    map[:, 5, 9] = 1
    scores = Road(percentages=[1, 20, 60]).measure(found, map[None]).scores
    assert (scores["road_most"] == 0).all() and (scores["road_least"] == 1).all() and (scores["road"] == 0.5).all()


@pytest.mark.parametrize("percentages", [[], [0], [100], [50, -1]])
def test_percentages_out_of_range(percentages: list[float]) -> None:
    with pytest.raises(ValueError, match="percentages must be numbers above 0 and below 100"):
        Road(percentages=percentages)
