"""Max-sensitivity: Captum's on the same perturbations, and a linear network."""

import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from pipeline.methods import InputXGradient
from pipeline.methods.random_draws import sample_seeds
from pipeline.metrics import Sensitivity
from pipeline.metrics.sensitivity import uniform_noise
from tests.metrics.known_networks import SIZE, Linear, batch_of, maps_with_controls
from tests.networks import images, small_vgg


def test_max_sensitivity_is_captums() -> None:
    network, x, targets = small_vgg().double(), images(2, SIZE, SIZE), [3, 1]
    method = InputXGradient(network)
    batch = batch_of(network, x, explain=lambda points: method(points, targets).sum(1))
    metric = Sensitivity(radius=0.1, samples=3)
    scores = metric.measure(batch, maps_with_controls(batch, x.sum(1))).scores["max_sensitivity"]
    seeds = sample_seeds(batch.seeds, range(3))
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
    batch = batch_of(network, x, explain=network.map)
    scores = Sensitivity(samples=4).measure(batch, maps_with_controls(batch, network.map(x))).scores["max_sensitivity"]
    seeds = sample_seeds(batch.seeds, range(4))
    changes = [network.map(0.02 * uniform_noise(x, seeds[:, number])).flatten(1).norm(dim=1) for number in range(4)]
    torch.testing.assert_close(scores[0], torch.stack(changes).amax(0) / network.map(x).flatten(1).norm(dim=1))
    nothing = batch_of(network, x, explain=lambda points: torch.zeros_like(points[:, 0]))
    assert Sensitivity(samples=1).measure(nothing, x.sum(1)[None]).scores["max_sensitivity"][0].isnan().all()
