"""ROAD: a literal loop, and networks with known answers."""

import numpy as np
import pytest
import torch

from pipeline.methods.random_draws import normal_noise, sample_seeds
from pipeline.metrics import Road
from pipeline.metrics.ranks import pixel_ranks
from tests.metrics.known_networks import SIZE, Constant, OnePixel, batch_of, maps_with_controls
from tests.metrics.reference_imputation import solve_imputation
from tests.networks import images, small_vgg


def test_replica() -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [3, 7]
    batch, metric = batch_of(network, x, targets=targets), Road(percentages=[20, 50, 90])
    targets = network(x).argmax(1).tolist()
    batch = batch_of(network, x, targets=targets)
    maps = maps_with_controls(batch, torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).double())
    measured = metric.measure(batch, maps)
    order, seeds = pixel_ranks(maps, batch.seeds), sample_seeds(batch.seeds, range(3))
    for kind in range(len(maps)):
        for i in range(2):
            for name in ("road_most", "road_least"):
                stays = []
                for p, percentage in enumerate((20, 50, 90)):
                    count = round(SIZE**2 * percentage / 100)
                    place = order[kind, i] if name == "road_most" else SIZE**2 - 1 - order[kind, i]
                    missing = (place < count).numpy()
                    image = torch.from_numpy(solve_imputation(x[i].numpy(), missing))
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
    batch = batch_of(Constant(), x)
    scores = Road(percentages=[30, 80]).measure(batch, maps_with_controls(batch, x.sum(1))).scores
    assert (scores["road_most"] == 1).all() and (scores["road_least"] == 1).all() and (scores["road"] == 0).all()


def test_of_one_pixel_that_stands_out_its_removal_decides() -> None:
    network, x = OnePixel(), torch.full((2, 3, SIZE, SIZE), -0.5, dtype=torch.float64)
    x[:, :, 5, 9] = 1
    batch = batch_of(network, x)
    map = torch.zeros(2, SIZE, SIZE, dtype=torch.float64)
    map[:, 5, 9] = 1
    scores = Road(percentages=[1, 20, 60]).measure(batch, map[None]).scores
    assert (scores["road_most"] == 0).all() and (scores["road_least"] == 1).all() and (scores["road"] == 0.5).all()


@pytest.mark.parametrize("percentages", [[], [0], [100], [50, -1]])
def test_percentages_out_of_range(percentages: list[float]) -> None:
    with pytest.raises(ValueError, match="percentages must be numbers above 0 and below 100"):
        Road(percentages=percentages)
