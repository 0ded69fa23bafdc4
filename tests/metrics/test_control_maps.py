"""Control maps: their magnitude, their seeds, and what they look like."""

import torch

from pipeline.metrics.control_maps import CONTROLS, KINDS, centre_maps, edge_maps, random_maps, with_controls
from tests.metrics.known_networks import SIZE
from tests.networks import images

SEEDS = torch.tensor([4, 9, 2])


def test_controls_have_the_magnitude_of_the_map_beside_them() -> None:
    x = images(3, SIZE, SIZE)
    maps = x.sum(1)
    maps[1] = 0
    kinds = with_controls(maps, x, SEEDS)
    assert kinds.shape == (len(KINDS), 3, SIZE, SIZE) and torch.equal(kinds[0], maps)
    magnitudes = kinds.abs().sum((2, 3))
    for row in (0, 2):
        torch.testing.assert_close(magnitudes[:, row], magnitudes[0, row].expand(len(KINDS)))
    assert (magnitudes[1:, 1] > 0).all()  # beside a map of zeros they stay
    assert (kinds[1:] >= 0).all()


def test_a_random_map_depends_on_the_seed_of_its_image_alone() -> None:
    x = images(3, SIZE, SIZE)
    together = random_maps(x, SEEDS)
    assert torch.equal(random_maps(x[1:2] + 1, SEEDS[1:2])[0], together[1])
    assert not torch.equal(together[0], together[1]) and together.min() >= 0 and together.max() < 1


def test_edges_are_those_of_a_step() -> None:
    step = torch.zeros(1, 3, SIZE, SIZE)
    step[..., 10:] = 1
    edges = edge_maps(step, SEEDS[:1])[0]
    assert (edges[:, 9:11] == 4).all() and edges[:, :9].sum() == 0 == edges[:, 11:].sum()


def test_the_blob_is_symmetric_about_the_middle() -> None:
    blob = centre_maps(torch.zeros(1, 3, 11, 15, dtype=torch.float64), SEEDS[:1])[0]
    assert divmod(int(blob.argmax()), 15) == (5, 7)
    torch.testing.assert_close(blob, blob.flip(0, 1))
    assert set(CONTROLS) == {"random", "edge", "centre"}
