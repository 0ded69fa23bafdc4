"""Infidelity and max-sensitivity: Captum's on the same perturbations, and networks whose answers are known."""

import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from pipeline.methods import InputXGradient
from pipeline.methods.random_draws import sample_seeds
from pipeline.metrics import Infidelity, Sensitivity
from pipeline.metrics.infidelity import box_masks, box_sums, draw_squares
from pipeline.metrics.sensitivity import uniform_noise
from tests.metrics.known_networks import SIZE, Constant, Linear, case, kinds
from tests.networks import images, small_vgg

COUNT = 12


def removed(found, count: int) -> tuple[Tensor, Tensor]:
    """Squares (N, P, 4) and the pixels in them (N, P, H, W)."""
    boxes = torch.stack([draw_squares(count, SIZE, SIZE, seed=seed) for seed in found.seeds.tolist()])
    pixels = torch.zeros(*boxes.shape[:2], SIZE, SIZE, dtype=torch.float64)
    for i, of_image in enumerate(boxes.tolist()):
        for p, (top, left, bottom, right) in enumerate(of_image):
            pixels[i, p, top:bottom, left:right] = 1
    return boxes, pixels


def test_squares_lie_inside_and_are_summed() -> None:
    x = images(3, SIZE, SIZE)
    found = case(Linear(), x)
    boxes, pixels = removed(found, 40)
    assert boxes.min() >= 0 and boxes.max() <= SIZE
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides[..., 0] == sides[..., 1]).all() and sides.min() >= 2 and sides.max() <= 12
    assert sides.unique().numel() == 11 and (boxes[0] != boxes[1]).any()
    maps = kinds(found, x.sum(1))
    torch.testing.assert_close(box_sums(maps, boxes), torch.einsum("mnhw,nphw->mnp", maps, pixels))
    assert torch.equal(box_masks(boxes[0], SIZE, SIZE), pixels[0].bool())


@pytest.mark.parametrize("scaled", [False, True])
def test_infidelity_is_captums(scaled: bool) -> None:
    network, x, targets = small_vgg().double(), images(3, SIZE, SIZE), [3, 1, 7]
    found = case(network, x, targets=targets)
    maps = kinds(found, InputXGradient(network)(x, targets).sum(1))
    scores = Infidelity(perturbations=COUNT).measure(found, maps).scores
    _, pixels = removed(found, COUNT)

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
    found = case(network, x)
    scores = Infidelity(perturbations=COUNT).measure(found, kinds(found, network.map(x))).scores
    assert scores["infidelity"][0].max() < 1e-20 and scores["scaled_infidelity"][0].max() < 1e-12
    assert scores["scaled_infidelity"][1:].min() > 0.2
    still = case(Constant(), x)
    scores = Infidelity(perturbations=COUNT).measure(still, kinds(still, x.sum(1))).scores
    assert scores["scaled_infidelity"].isnan().all() and (scores["infidelity"] > 0).all()


def test_max_sensitivity_is_captums() -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [3, 1]
    method = InputXGradient(network)
    found = case(network, x, explain=lambda points: method(points, targets).sum(1))
    metric = Sensitivity(radius=0.1, samples=3)
    scores = metric.measure(found, kinds(found, x.sum(1))).scores["max_sensitivity"]
    seeds = sample_seeds(found.seeds, range(3))
    noise = torch.stack([uniform_noise(x, seeds[:, number]) for number in range(3)], 1)
    assert noise.abs().max() <= 1 and noise.abs().max() > 0.99

    expected = []
    for image in range(2):

        def perturb(inputs: tuple[Tensor, ...], _radius: float, image: int = image) -> tuple[Tensor, ...]:
            return (inputs[0] + 0.1 * noise[image],)

        def of_target(inputs: tuple[Tensor, ...], image: int = image) -> tuple[Tensor, ...]:
            return (method(inputs[0], targets[image]).sum(1),)

        expected.append(
            sensitivity_max(of_target, x[image][None], perturb, perturb_radius=0.1, n_perturb_samples=3, norm_ord="fro")
        )
    torch.testing.assert_close(scores[0], torch.cat(expected))
    assert (scores[[1, 3]] == 0).all() and (scores[2] > 0).all()  # noise and centre do not see the image


def test_max_sensitivity_of_a_linear_model() -> None:
    network, x = Linear(), images(2, SIZE, SIZE)
    found = case(network, x, explain=network.map)
    scores = Sensitivity(samples=4).measure(found, kinds(found, network.map(x))).scores["max_sensitivity"]
    seeds = sample_seeds(found.seeds, range(4))
    changes = [network.map(0.02 * uniform_noise(x, seeds[:, number])).flatten(1).norm(dim=1) for number in range(4)]
    torch.testing.assert_close(scores[0], torch.stack(changes).amax(0) / network.map(x).flatten(1).norm(dim=1))
    nothing = case(network, x, explain=lambda points: torch.zeros_like(points[:, 0]))
    assert Sensitivity(samples=1).measure(nothing, x.sum(1)[None]).scores["max_sensitivity"][0].isnan().all()
