"""Starts the workers of a run: as processes, on Slurm, or not at all; what they have done is read from its folder."""

import os
from collections.abc import Callable
from importlib import import_module

import torch

from pipeline.launch.worker_command import Launch
from pipeline.system.configuration import Config
from pipeline.system.signals import StopRequest

__all__ = ["Launch", "count_workers", "find_launcher", "with_workers"]

Launcher = Callable[[Launch, StopRequest], int]


def find_launcher(choice: str) -> Launcher:
    """The function of ``launch=NAME``; it returns an exit status, 0 also where others go on.

    Raises:
        MissingExtra: Its library is not installed.
    """
    launcher: Launcher = import_module(f"pipeline.launch.{choice}").launch
    return launcher


def with_workers(config: Config) -> Config:
    """The configuration with its number of workers, which may be left open: as many as `count_workers` says."""
    if config["launch"]["workers"] is not None:
        return config
    return {**config, "launch": {**config["launch"], "workers": count_workers(config["device"])}}


def count_workers(device: str) -> int:
    """One for each GPU, where they are used, or for each core."""
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return gpus or len(os.sched_getaffinity(0))
