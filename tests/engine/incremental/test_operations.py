"""Operations known to be local have a step; others have none, so that whole maps are computed from there on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from pipeline.engine.incremental.sliding_steps import Linear, Slide, Winograd
from pipeline.engine.incremental.step_graph import StepGraph
from pipeline.engine.incremental.steps import Affine, Clamp, Join, Pad, Pointwise

EXAMPLE = torch.randn(1, 8, 9, 9, generator=torch.Generator().manual_seed(0))


def steps_of(function: Callable[[Tensor], Tensor] | nn.Module, example: Tensor = EXAMPLE) -> list[type]:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = function

        def forward(self, images: Tensor) -> Tensor:
            return self.function(images)

    network = Network().eval().requires_grad_(False)
    return [type(step) for step in StepGraph.of(fx.symbolic_trace(network), example).steps.values()]


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (nn.Conv2d(8, 4, 1), Linear),
        (nn.Conv2d(8, 4, 3), Slide),
        (nn.Conv2d(8, 4, 3, padding="same"), Slide),
        (nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"), None),
        (nn.MaxPool2d(2), Slide),
        (nn.AvgPool2d(2), Slide),
        (nn.AdaptiveAvgPool2d(3), None),
        (nn.ZeroPad2d(1), Pad),
        (nn.BatchNorm2d(8), Affine),
        (nn.BatchNorm2d(8, track_running_stats=False), None),
        (nn.InstanceNorm2d(8), None),
        (nn.ReLU(), Clamp),
        (nn.ReLU6(), Clamp),
        (nn.GELU(), Pointwise),
        (nn.Softmax2d(), None),
        (nn.PixelShuffle(2), None),
    ],
)
def test_modules(module: nn.Module, step: type | None) -> None:
    assert steps_of(module) == ([] if step is None else [step])


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        (lambda x: F.relu(x) + x.tanh(), [Clamp, Pointwise, Join]),
        (lambda x: torch.cat([x, F.relu(x)], 1), [Clamp, Join]),
        (lambda x: torch.cat([x, F.relu(x)], 2), [Clamp]),
        (lambda x: x + x, []),
        (lambda x: 2 / (1 + x), [Pointwise, Pointwise]),
        (lambda x: torch.add(x, x.abs(), alpha=2), [Pointwise]),
        (lambda x: x + x.mean((2, 3), keepdim=True), []),
        (lambda x: x[:, 2:5], [Pointwise]),
        (lambda x: x[:, :, 2:5], []),
        (lambda x: x[:, : x.shape[1] // 2], []),
        (lambda x: F.pad(x, (1, 2, 0, 1)), [Pad]),
        (lambda x: F.pad(x, (-1, 0, 0, 0)), []),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), []),
        (lambda x: x.clamp(0, 1), [Clamp]),
        (lambda x: torch.clamp(x, max=x.mean()), []),
        (lambda x: F.hardtanh(x, -2, 2), [Clamp]),
        (lambda x: F.max_pool2d(x, 2), [Slide]),
        (lambda x: F.avg_pool2d(x, 2, count_include_pad=False), [Slide]),
        (lambda x: x.flip(3), []),
        (lambda x: F.relu(x.transpose(2, 3)), []),
    ],
)
def test_functions(function: Callable[[Tensor], Tensor], steps: list[type]) -> None:
    assert steps_of(function) == steps


@pytest.mark.parametrize(
    ("dtype", "step"),
    [(torch.float32, Winograd), (torch.float64, Slide), (torch.bfloat16, Slide), (torch.float16, Slide)],
)
def test_winograd_is_for_float32_alone(dtype: torch.dtype, step: type) -> None:
    example = torch.randn(1, 96, 6, 6).to(dtype)
    assert steps_of(nn.Conv2d(96, 96, 3, padding=1).to(dtype), example) == [step]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_batch_norm_rounds_as_torch_does(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8).eval().requires_grad_(False)
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        values.uniform_(0.5, 2)
    norm, maps = norm.to(dtype), torch.randn(1, 8, 40, 50).to(dtype)
    rows = maps[0].flatten(1).t().contiguous()
    (step,) = StepGraph.of(fx.symbolic_trace(nn.Sequential(norm)), maps).steps.values()
    out = torch.empty_like(rows)
    step.run([rows], [rows], None, out)
    exact, expected = norm.double()(maps.double()), norm.to(dtype)(maps)
    error = (out.t().reshape(maps.shape) - exact).norm()
    assert error <= 1.05 * (expected - exact).norm() + 1e-12 * exact.norm()
