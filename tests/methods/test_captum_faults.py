"""Faults of Captum 0.9's DeepLift that this project does not share, each shown by completeness or by an image alone."""

import copy
from collections.abc import Callable

import pytest
import torch
from captum.attr import DeepLift as CaptumDeepLift
from captum.attr import DeepLiftShap as CaptumDeepLiftShap
from torch import Tensor, nn
from torch.nn import functional

from pipeline.methods.deeplift import DeepLift, DeepLiftShap
from tests.methods.deeplift_networks import Calls, assert_near, explain, network, ready
from tests.methods.reference import PlusZero, spelled
from tests.networks import images

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks"),
    pytest.mark.filterwarnings("ignore:Input Tensor"),
    pytest.mark.filterwarnings("ignore:Lazy modules"),
]


def deltas(module: nn.Module, points: Tensor) -> tuple[float, float]:
    """Captum's largest convergence delta over the largest F(x) - F(b), and ours."""
    changes = (module(points) - module(torch.zeros_like(points[:1])))[:, 1].detach().abs().max()
    theirs = CaptumDeepLift(copy.deepcopy(module)).attribute(points.clone(), target=1, return_convergence_delta=True)[1]
    targets = torch.ones(len(points), 1, dtype=torch.int64)
    ours = explain(DeepLift(module), points, targets)[0].convergence_delta
    return float(theirs.detach().abs().max() / changes), float(ours.abs().max() / changes)


def test_relu_before_max_pooling() -> None:
    theirs, ours = deltas(ready(network(nn.ReLU())), images(3, 16, 16))
    assert theirs > 0.01 and ours < 1e-12


def test_overlapping_windows_of_max_pooling() -> None:
    theirs, ours = deltas(ready(network(nn.ReLU(), PlusZero(), pool=3)), images(3, 16, 16))
    assert theirs > 0.1 and ours < 1e-12


def test_silu_takes_the_gradient() -> None:
    theirs, ours = deltas(ready(network(nn.SiLU(), PlusZero())), images(3, 16, 16))
    assert theirs > 0.01 and ours < 1e-12


def test_functional_relu_takes_the_gradient() -> None:
    theirs, ours = deltas(Calls(functional.relu).double().eval(), images(3, 16, 16))
    assert theirs > 0.01 and ours < 1e-12


def test_softmax_mixes_the_batch() -> None:
    module, points = nn.Sequential(Calls(functional.relu), nn.Softmax(1)).double().eval(), images(3, 16, 16)

    def largest_difference(explain: Callable[[Tensor], Tensor]) -> float:
        together, alone = explain(points).detach(), explain(points[:1]).detach()
        return float((together[:1] - alone).abs().max() / together.abs().max())

    captum = CaptumDeepLift(copy.deepcopy(module))
    assert largest_difference(lambda some: captum.attribute(some.clone(), target=1)) > 0.01
    assert largest_difference(lambda some: DeepLift(module)(some, 1)) < 1e-12


def test_max_pooling_gives_all_images_the_gradient_of_the_first() -> None:
    module, points = ready(network(nn.Tanh(), PlusZero())), images(3, 16, 16)
    points[1:, :, :9] = 0  # as the baseline

    def largest_difference(explain: Callable[[Tensor], Tensor]) -> float:
        together, alone = explain(points).detach(), explain(points[1:2]).detach()
        return float((together[1:2] - alone).abs().max() / together.abs().max())

    captum = CaptumDeepLift(copy.deepcopy(module), multiply_by_inputs=False)
    ours = DeepLift(module, multiply_by_inputs=False)
    assert largest_difference(lambda some: captum.attribute(some.clone(), target=1)) > 0.01
    assert largest_difference(lambda some: ours(some, 1)) < 1e-12


def test_half_precision_divides_zero_by_zero() -> None:
    module, points = network(nn.ReLU(), PlusZero()).eval(), images(2, 16, 16, torch.float32)
    points[:, :, :8] = 0
    module(points)
    module, points, baselines = module.half(), points.half(), torch.zeros(2, 3, 16, 16).half()
    assert not CaptumDeepLiftShap(copy.deepcopy(module)).attribute(points.clone(), baselines, target=1).isfinite().all()
    assert DeepLiftShap(module, baselines=baselines)(points, 1).isfinite().all()


@pytest.mark.parametrize(("pool", "between"), [(2, ()), (3, ()), (3, (PlusZero(),))])
def test_a_network_spelled_for_captum_agrees(pool: int, between: tuple[nn.Module, ...]) -> None:
    """With `x + 0` and windows side by side, Captum's own rules give our map: the reference of test_oracle.py."""
    module, points = ready(network(nn.ReLU(), *between, pool=pool)), images(3, 16, 16)
    expected = CaptumDeepLift(spelled(module)).attribute(points.clone(), target=1)
    assert_near(DeepLift(module)(points, 1), expected)
