"""Launchers: start the workers of a run as processes, on Slurm or on Ray. Progress is read from the run's folder."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from pipeline.launch.worker_command import FrozenRun
from pipeline.system.configuration import Config
from pipeline.system.signals import StopRequest

__all__ = ["FrozenRun", "count_workers", "find_launcher", "with_workers"]

Launcher = Callable[[FrozenRun[Any], StopRequest], int]


def find_launcher(choice: str) -> Launcher:
    """Imports the function of ``launch=NAME``; it returns an exit status, 0 also if workers continue without it.

    Raises:
        MissingExtra: Its library is not installed.
    """
    launcher: Launcher = import_module(f"pipeline.launch.{choice}").launch
    return launcher


def with_workers(config: Config) -> Config:
    """The composed configuration with a number of workers in place of ``launch.workers=null``."""
    launch = config["launch"]
    if launch["workers"] is not None:
        return config
    return {**config, "launch": {**launch, "workers": count_workers(config["device"])}}


def count_workers(device: str) -> int:
    """Workers for this machine: one for each GPU that ``device`` may use, or for each core."""
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return gpus or len(os.sched_getaffinity(0))
