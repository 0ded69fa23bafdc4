"""Placement of workers on this machine: a GPU and a part of the cores for each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Placement:
    """Device and cores of one worker.

    Attributes:
        device: A value of the option ``device``.
        gpu: Its CUDA_VISIBLE_DEVICES; None leaves the variable unchanged.
        cores: Numbers of the cores that it may use.
    """

    device: str
    gpu: str | None
    cores: frozenset[int]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the worker's process."""
        visible = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**os.environ, "OMP_NUM_THREADS": str(len(self.cores)), **visible}

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Sets the cores as this process's affinity inside the context: new processes inherit it."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def placements(device: str, workers: int) -> list[Placement]:
    """Splits this machine among workers.

    Args:
        device: The option: ``auto`` and ``cuda`` give each worker one GPU, in turn; others are left unchanged.
        workers: Number of workers; if there are fewer cores or GPUs, some share one.
    """
    cores = sorted(os.sched_getaffinity(0))
    parts = [frozenset(cores[worker::workers] or [cores[worker % len(cores)]]) for worker in range(workers)]
    gpus = _gpus() if device in ("auto", "cuda") else []
    if not gpus:
        return [Placement(device, None, part) for part in parts]
    return [Placement("cuda", gpus[worker % len(gpus)], part) for worker, part in enumerate(parts)]


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use; no CUDA context is created, which would take memory on them."""
    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
