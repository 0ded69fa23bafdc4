"""Networks with known outputs, and batches of explanations of them without a store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.methods.method import image_seeds
from pipeline.metrics.control_maps import with_controls
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.view import View

SIZE = 24


@dataclass(frozen=True)
class Row:
    """A stored explanation."""

    score: float = 0.0
    baseline_score: float = 0.0
    convergence_delta: float = 0.0
    path: Path = Path("a/1.jpg")
    label: int = 0
    target: int = 0
    class_name: str = "cat"
    crop: tuple[int, int, int, int, int, int] = (SIZE, SIZE, 0, 0, SIZE, SIZE)


class Linear(nn.Module):
    """Logits w . x, -w . x, and half of it."""

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        drawn = torch.randn(3, size, size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        self.weights = nn.Parameter(drawn / size, requires_grad=False)

    def map(self, images: Tensor) -> Tensor:
        """Contribution of each pixel to the first logit, (N, H, W)."""
        return (self.weights * images).sum(1)

    def forward(self, points: Tensor) -> Tensor:
        value = (self.weights * points).sum((1, 2, 3))
        return torch.stack((value, -value, value / 2), 1)


class OnePixel(nn.Module):
    """Reads the pixel in row 5, column 9."""

    def map(self, images: Tensor) -> Tensor:
        maps = torch.zeros_like(images[:, 0])
        maps[:, 5, 9] = images[:, :, 5, 9].sum(1)
        return maps

    def forward(self, points: Tensor) -> Tensor:
        value = points[:, :, 5, 9].sum(1)
        return torch.stack((value, -value), 1)


class Constant(nn.Module):
    def forward(self, points: Tensor) -> Tensor:
        return points.new_tensor([1.0, 0.0]).expand(len(points), -1)


def batch_of(
    network: nn.Module,
    images: Tensor,
    *,
    targets: list[int] | None = None,
    numbers: list[int] | None = None,
    chunk: int = 16,
    explain: Callable[[Tensor], Tensor] | None = None,
    stored: list[Row] | None = None,
) -> ExplainedBatch:
    """A batch of images (N, 3, H, W), whose numbers are the seeds of their draws."""
    return ExplainedBatch(
        images,
        torch.tensor(targets or [0] * len(images)),
        image_seeds(0, numbers or range(len(images))),
        View(network),
        ChunkedEvaluator(chunk),
        explain or (lambda points: points.sum(1)),
        stored or [Row()] * len(images),
    )


def maps_with_controls(batch: ExplainedBatch, maps: Tensor) -> Tensor:
    """The maps (N, H, W) and the controls."""
    return with_controls(maps, batch.images, batch.seeds)
