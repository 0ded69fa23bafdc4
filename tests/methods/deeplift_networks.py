"""Networks around one function, and DeepLift's convergence delta on them."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.methods.method import Attribution, Method, image_seeds
from tests.networks import images

PRECISION = 1e-6


class Calls(nn.Module):
    """Convolution, a function, and a head in which no two units weigh the same."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.convolution, self.function = nn.Conv2d(3, 8, 3, stride=2), function
        self.head = nn.Linear(8, 4)

    def forward(self, points: Tensor) -> Tensor:
        units = self.function(2 * self.convolution(points)).flatten(2)
        ramp = torch.linspace(-1, 2, units.shape[2], dtype=units.dtype)
        return self.head((units * ramp).mean(2))


def network(activation: nn.Module, *between: nn.Module, pool: int = 2) -> nn.Module:
    """Convolutions, an activation, perhaps something else, max pooling; twice."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), activation, *between, nn.MaxPool2d(pool, 2),
        nn.Conv2d(6, 8, 3, padding=1), copy.deepcopy(activation), *between, nn.MaxPool2d(pool, 2),
        nn.Flatten(), nn.LazyLinear(5),
    )  # fmt: skip


def ready(module: nn.Module, size: int = 16) -> nn.Module:
    module = module.double().eval()
    module(images(1, size, size))
    return module


def explain(method: Method, points: Tensor, targets: Tensor) -> tuple[Attribution, Tensor]:
    scores = method.scores(points, targets)
    return method.explain(points, targets, scores=scores, seeds=image_seeds(0, range(len(points)))), scores


def relative_delta(method: Method, points: Tensor) -> float:
    """The largest convergence delta for two targets, as a share of F(x) - F(b)."""
    targets = torch.tensor([[1, 2]]).expand(len(points), -1)
    attribution, scores = explain(method, points, targets)
    delta = attribution.maps.flatten(2).sum(2) - (scores - attribution.baseline_score)
    torch.testing.assert_close(delta, attribution.convergence_delta, rtol=0, atol=1e-12)
    return float((delta.abs() / (scores - attribution.baseline_score).abs()).max())


def assert_near(maps: Tensor, expected: Tensor, precision: float = PRECISION) -> None:
    expected = expected.detach()
    assert expected.abs().max() > 0
    torch.testing.assert_close(maps, expected, rtol=0, atol=precision * float(expected.abs().max()))
