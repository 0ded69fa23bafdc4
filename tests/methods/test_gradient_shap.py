import captum.attr
import numpy as np
import pytest
import torch

from pipeline.data.preprocessing import Preprocessing
from pipeline.methods import GradientShap, IntegratedGradients
from pipeline.methods.method import image_seeds
from pipeline.methods.random_draws import normal_noise, sample_seeds
from pipeline.view import View
from tests.networks import images, small_vgg

PREPROCESSING = Preprocessing(resize=None, crop=(64, 72), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def near(map, expected, share=1e-6):
    torch.testing.assert_close(map, expected, rtol=0, atol=share * expected.abs().max().item())


def draws(x, count, members):
    """The method's draws: (member, alpha, noise) for each image and sample."""
    seeds = sample_seeds(image_seeds(0, range(len(x))), range(2 * count))
    drawn = []
    for i in range(len(x)):
        for s in range(count):
            generator = torch.Generator().manual_seed(int(seeds[i, s]))
            member = torch.randint(members, (), generator=generator).item()
            alpha = torch.rand((), generator=generator).item()
            drawn.append((member, alpha, normal_noise(x[i : i + 1], seeds[i, count + s][None])[0]))
    return drawn


def test_replica():
    network, x, baselines, targets = small_vgg().double(), images(2, 64, 72), images(3, 64, 72), [1, 7]
    drawn = draws(x, 4, 3)
    for i, target in enumerate(targets):
        expected = torch.zeros_like(x[i])
        for member, alpha, noise in drawn[4 * i : 4 * i + 4]:
            end = x[i] + 0.2 * noise
            point = (alpha * end + (1 - alpha) * baselines[member]).requires_grad_()
            gradient = torch.autograd.grad(network(point[None])[0, target], point)[0]
            expected += (end - baselines[member]) * gradient / 4
        near(GradientShap(network, baselines=baselines, n_samples=4, stdevs=0.2)(x, targets)[i], expected, 1e-12)
    assert len({member for member, *_ in drawn}) > 1


@pytest.mark.parametrize("multiply", [True, False])
def test_oracle(multiply, monkeypatch):
    network, x, baselines = small_vgg().double(), images(2, 64, 72), images(3, 64, 72)
    members, alphas, noise = zip(*draws(x, 5, 3), strict=True)
    monkeypatch.setattr(np.random, "choice", lambda count, size, **_: np.array(members))  # Captum's own draws
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: np.array(alphas))
    monkeypatch.setattr(torch, "normal", lambda mean, std: std * torch.stack(noise))
    reference = captum.attr.GradientShap(network, multiply_by_inputs=multiply)
    expected = reference.attribute(x, baselines, n_samples=5, stdevs=0.3, target=torch.tensor([1, 7]))
    method = GradientShap(network, baselines=baselines, stdevs=0.3, multiply_by_inputs=multiply)
    near(method(x, [1, 7]), expected.detach(), 1e-6)


def test_many_draws_from_one_baseline_without_noise_are_integrated_gradients():
    network, x = small_vgg().double(), images(1, 64, 72)
    expected = IntegratedGradients(network, n_steps=400, baselines=0.3)(x, 4)
    few, many = (GradientShap(network, baselines=0.3, n_samples=n)(x, 4) - expected for n in (20, 2000))
    assert many.norm() < 0.03 * expected.norm()
    assert many.norm() < 0.3 * few.norm()  # as 1 / sqrt(n)


def test_a_linear_network_is_explained_completely_by_any_draw():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 72, 5)).double().eval()
    x, targets = images(2, 64, 72), torch.tensor([[1, 4], [3, 2]])
    method = GradientShap(View(network, preprocessing=PREPROCESSING), baselines=["black", "noise"], n_samples=3)
    attribution = method.explain(x, targets, scores=method.scores(x, targets), seeds=image_seeds(0, [0, 1]))
    assert attribution.convergence_delta.abs().max() < 1e-12
    assert attribution.baseline_score[0, 0] != attribution.baseline_score[1, 0]


def test_a_map_depends_on_its_image_and_seed_alone():
    network, x = small_vgg().double(), images(3, 64, 72)
    view = View(network, preprocessing=PREPROCESSING)
    targets, seeds = torch.tensor([[1], [7], [3]]), image_seeds(5, [0, 1, 2])
    options = {"baselines": ["noise", "noise", "black", "blur"], "n_samples": 6, "stdevs": 0.1}
    method = GradientShap(view, **options, internal_batch_size=18)
    whole = method.explain(x, targets, scores=method.scores(x, targets), seeds=seeds)
    order = torch.tensor([2, 0])
    other = GradientShap(view, **options, internal_batch_size=4)
    part = other.explain(x[order], targets[order], scores=method.scores(x, targets)[order], seeds=seeds[order])
    near(part.maps, whole.maps[order], 1e-12)
    torch.testing.assert_close(part.baseline_score, whole.baseline_score[order])
    torch.testing.assert_close(part.convergence_delta, whole.convergence_delta[order])
    again = method.explain(x, targets, scores=whole.baseline_score, seeds=image_seeds(6, [0, 1, 2])).maps
    assert (again - whole.maps).abs().max() > 0.01 * whole.maps.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(dtype):
    network, x = small_vgg().to(dtype), images(1, 64, 72, dtype)
    map = GradientShap(network, baselines=0, stdevs=0.1)(x, 1)
    assert map.dtype == dtype
    assert map.isfinite().all()
    with pytest.raises(RuntimeError, match=r"type"):  # Captum's noise is float32
        captum.attr.GradientShap(network).attribute(x, torch.zeros_like(x), target=1, stdevs=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baselines": 0, "n_samples": 0}, "n_samples must be a whole number from 1"),
        ({"baselines": 0, "stdevs": -0.1}, "stdevs must be a number from 0"),
        ({"baselines": []}, "baselines"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        GradientShap(small_vgg(), **options)
