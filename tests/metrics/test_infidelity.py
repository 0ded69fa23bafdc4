"""Infidelity: Captum's on the same perturbations, and networks with known answers."""

import pytest
import torch
from captum.metrics import infidelity
from torch import Tensor

from pipeline.methods import InputXGradient
from pipeline.metrics import Infidelity
from pipeline.metrics.infidelity import box_masks, box_sums, draw_squares
from tests.metrics.known_networks import SIZE, Constant, Linear, batch_of, maps_with_controls
from tests.networks import images, small_vgg

COUNT = 12


def removed(batch, count: int) -> tuple[Tensor, Tensor]:
    """Squares (N, P, 4) and the pixels in them (N, P, H, W)."""
    boxes = torch.stack([draw_squares(count, SIZE, SIZE, seed=seed) for seed in batch.seeds.tolist()])
    pixels = torch.zeros(*boxes.shape[:2], SIZE, SIZE, dtype=torch.float64)
    for i, of_image in enumerate(boxes.tolist()):
        for p, (top, left, bottom, right) in enumerate(of_image):
            pixels[i, p, top:bottom, left:right] = 1
    return boxes, pixels


def test_squares_lie_inside_and_are_summed() -> None:
    x = images(3, SIZE, SIZE)
    batch = batch_of(Linear(), x)
    boxes, pixels = removed(batch, 40)
    assert boxes.min() >= 0 and boxes.max() <= SIZE
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides[..., 0] == sides[..., 1]).all() and sides.min() >= 2 and sides.max() <= 12
    assert sides.unique().numel() == 11 and (boxes[0] != boxes[1]).any()
    maps = maps_with_controls(batch, x.sum(1))
    torch.testing.assert_close(box_sums(maps, boxes), torch.einsum("mnhw,nphw->mnp", maps, pixels))
    assert torch.equal(box_masks(boxes[0], SIZE, SIZE), pixels[0].bool())


@pytest.mark.parametrize("scaled", [False, True])
def test_infidelity_is_captums(scaled: bool) -> None:
    network, x, targets = small_vgg().double(), images(3, SIZE, SIZE), [3, 1, 7]
    batch = batch_of(network, x, targets=targets)
    maps = maps_with_controls(batch, InputXGradient(network)(x, targets).sum(1))
    scores = Infidelity(perturbations=COUNT).measure(batch, maps).scores
    _, pixels = removed(batch, COUNT)

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        gone = pixels.flatten(0, 1)[:, None]
        return gone.expand_as(inputs), torch.where(gone > 0, 0.0, inputs)

    for kind, map in enumerate(maps):
        map = map * (maps[0].sum((1, 2)) / map.sum((1, 2)))[:, None, None]  # as complete as the first
        spread = map[:, None].expand_as(x) / 3  # Captum sums over channels
        expected = infidelity(
            network, perturb, x, spread, target=torch.tensor(targets), n_perturb_samples=COUNT, normalize=scaled
        )
        if scaled:
            with torch.no_grad():
                points = torch.where(pixels[:, :, None] > 0, 0.0, x[:, None]).flatten(0, 1)
                values = (
                    network(points)
                    .unflatten(0, (3, COUNT))
                    .gather(2, torch.tensor(targets)[:, None, None].expand(-1, COUNT, 1))
                )
                lost = network(x).gather(1, torch.tensor(targets)[:, None]) - values[..., 0]
            expected = expected / lost.square().mean(1)
        torch.testing.assert_close(scores["scaled_infidelity" if scaled else "infidelity"][kind], expected)


def test_a_linear_model_is_foretold_and_a_constant_has_nothing_to_foretell() -> None:
    network, x = Linear(), images(3, SIZE, SIZE)
    batch = batch_of(network, x)
    scores = Infidelity(perturbations=COUNT).measure(batch, maps_with_controls(batch, network.map(x))).scores
    assert scores["infidelity"][0].max() < 1e-20 and scores["scaled_infidelity"][0].max() < 1e-12
    assert scores["scaled_infidelity"][1:].min() > 0.2
    constant = batch_of(Constant(), x)
    scores = Infidelity(perturbations=COUNT).measure(constant, maps_with_controls(constant, x.sum(1))).scores
    assert scores["scaled_infidelity"].isnan().all() and (scores["infidelity"] > 0).all()
