"""A small network that writes down how many points it was asked about, can be made to wait, and kills itself."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

FOLDER = "COUNTING_FOLDER"
"""The environment variable with the folder of `asked`, and of `go`, which is waited for."""

IMAGES = 24


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 1000)
        self.network = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(0)
        for values in self.parameters():
            values.data = 0.3 * torch.randn(values.shape, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        if not images.any():  # what a network is asked before the work, to know its outputs
            return self.network(images)
        folder = Path(os.environ[FOLDER])
        while not (folder / "go").exists():
            time.sleep(0.02)
        time.sleep(float((folder / "go").read_text() or 0))
        with (folder / "asked").open("a") as file:  # one write, so that lines of several processes do not mix
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
    """Arguments that explain with such a network, one image a shard, in float64; saliency asks it twice an image."""
    return [
        "model=checkpoint", f"model.factory=tests.counting:{factory}", "model.allow=[tests]", "model.weights=null",
        "method=saliency", "engine=dense", "internal_batch_size=1", "batch_size=1", "num_workers=0", "device=cpu",
        "dtype=float64", "store.dtype=float64", "store.shard_size=1", "report.images=false",
        "data.transform.resize=32", "data.transform.crop=32",
    ]  # fmt: skip


def asked(folder: Path) -> int:
    """Points that all processes together were asked about."""
    return sum(map(int, (folder / "asked").read_text().split()))


def meanwhile(act: Callable[[], None]) -> threading.Thread:
    """Does something beside this thread."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    """Waits for something."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
