"""A small network that counts the points it evaluates, in a file, can be made to wait, and kills its process."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn

FOLDER = "COUNTING_FOLDER"
"""The environment variable with the folder of the count, and of `go`, for which the network waits."""

IMAGES = 40


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 1000)
        self.network = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(0)
        for values in self.parameters():
            values.data = 0.3 * torch.randn(values.shape, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        if not images.any():  # the blank image that is evaluated before the work, to learn the outputs
            return self.network(images)
        folder = Path(os.environ[FOLDER])
        while not (folder / "go").exists():
            time.sleep(0.02)
        time.sleep(float((folder / "go").read_text() or 0))
        with (folder / "evaluated_points").open("a") as file:  # one write: lines do not mix
            file.write(f"{len(images)}\n")
        return self.network(images)


class Deadly(Counting):
    def forward(self, images: Tensor) -> Tensor:
        if images.any():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.network(images)


def build() -> nn.Module:
    return Counting()


def deadly() -> nn.Module:
    return Deadly()


def options(factory: str = "build") -> list[str]:
    """Arguments that explain with such a network, one image a shard, in float64; saliency evaluates an image twice."""
    return [
        "model=checkpoint", f"model.factory=tests.counting:{factory}", "model.allow=[tests]", "model.weights=null",
        "method=saliency", "engine=dense", "internal_batch_size=1", "batch_size=1", "num_workers=0", "device=cpu",
        "dtype=float64", "store.dtype=float64", "store.shard_size=1", "report.images=false",
        "data.transform.resize=32", "data.transform.crop=32",
    ]  # fmt: skip


def evaluated_points(folder: Path) -> int:
    """Number of points that all processes together evaluated."""
    return sum(map(int, (folder / "evaluated_points").read_text().split()))


def assert_equal_runs(one: Path, other: Path) -> None:
    """Every image is there once, and its map is the same; read without the package."""
    first, second = _rows(one), _rows(other)
    assert [index for index, *_ in first] == [index for index, *_ in second] == list(range(IMAGES))
    for (_, target, map), (_, other_target, other_map) in zip(first, second, strict=True):
        assert target == other_target
        np.testing.assert_allclose(map, other_map, rtol=0, atol=1e-9 * np.abs(map).max())


def _rows(run: Path) -> list[tuple[int, int, np.ndarray]]:
    rows = []
    for path in sorted(run.glob("shards/*/*.h5")):
        with h5py.File(path, locking=False) as file:  # as the package has it open
            columns = (file[name][:] for name in ("index", "target", "attribution"))
            rows += [(int(index), int(target), map) for index, target, map in zip(*columns, strict=True)]
    return rows


def meanwhile(act: Callable[[], None]) -> threading.Thread:
    """Does something beside this thread."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def until(holds: Callable[[], bool], seconds: float = 600) -> None:
    """Waits for something."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
