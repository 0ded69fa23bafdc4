"""Pooling of maps, and means of pooled maps, with known answers."""

import numpy as np
import torch

from pipeline.audit.pooled_maps import GRID, class_means, mean_of_others, pool, temporary_array


def test_a_pooled_map_is_the_shares_of_its_positive_part() -> None:
    maps = torch.zeros(4, 2, 64, 64)
    maps[0, :, 40:44, 40:44] = 3.0
    maps[1] = -1.0
    maps[2, 0], maps[2, 1] = 1.0, -1.0  # channels cancel
    maps[3] = 2 * maps[0]
    cells = pool(maps)
    assert cells.shape == (4, GRID, GRID) and (cells >= 0).all()
    torch.testing.assert_close(cells.sum((1, 2)), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert divmod(int(cells[0].argmax()), GRID) == (10, 10)
    torch.testing.assert_close(cells[0], cells[3])  # a map's scale does not matter


def test_noise_cancels_in_a_cell_before_the_positive_part_is_taken() -> None:
    checks = torch.ones(1, 1, 64, 64)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = -1.0
    assert not pool(checks).any()


def test_means_of_classes_and_of_the_others() -> None:
    maps = np.zeros((5, GRID * GRID), np.float32)
    maps[0, 0] = maps[1, 1] = maps[2, 2] = maps[3, 2] = 1
    groups = {7: np.array([0, 1]), 8: np.array([2, 3]), 9: np.array([4])}
    means = class_means(groups, maps)
    assert set(means) == {7, 8} and means[7][:3].tolist() == [0.5, 0.5, 0]
    assert mean_of_others(means, 9)[:3].tolist() == [0.25, 0.25, 0.5]
    assert mean_of_others(means, 7)[2] == 1
    np.testing.assert_array_equal(mean_of_others({7: means[7]}, 7), 1 / GRID**2)


def test_a_temporary_array_is_zero_and_writable() -> None:
    array = temporary_array(3, 4)
    assert array.shape == (3, 4) and not array.any()
    array[1] = 5
    assert array.sum() == 20 and temporary_array(0, 4).shape == (0, 4)
