"""Where on this machine a worker works: its GPU, its share of the cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Placement:
    """Of one worker.

    Attributes:
        device: As the option has it.
        gpu: What CUDA_VISIBLE_DEVICES is for it, or None: as it is.
        cores: The cores that it may use.
    """

    device: str
    gpu: str | None
    cores: frozenset[int]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the worker's process."""
        visible = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**os.environ, "OMP_NUM_THREADS": str(len(self.cores)), **visible}

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Inside the context a process that is started has the place's cores, and so as many decoding processes."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def placements(device: str, workers: int) -> list[Placement]:
    """Shares this machine out.

    Args:
        device: The option: ``auto`` and ``cuda`` give each worker one GPU, in turn; others are taken as they are.
        workers: How many share it; if they are more than cores or GPUs, some have the same.
    """
    cores = sorted(os.sched_getaffinity(0))
    parts = [frozenset(cores[worker::workers] or [cores[worker % len(cores)]]) for worker in range(workers)]
    gpus = _gpus() if device in ("auto", "cuda") else []
    if not gpus:
        return [Placement(device, None, part) for part in parts]
    return [Placement("cuda", gpus[worker % len(gpus)], part) for worker, part in enumerate(parts)]


def _gpus() -> list[str]:
    """The names of the GPUs that this process may use, counted without taking memory on them."""
    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
