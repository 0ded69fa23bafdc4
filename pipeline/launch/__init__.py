"""Starts the workers of a run: as processes, on Slurm, or not at all; what they have done is read from its folder."""

import os
from collections.abc import Callable
from importlib import import_module

import torch

from pipeline.configuration import Config
from pipeline.launch.launch import Launch
from pipeline.signals import StopRequest

__all__ = ["Launch", "count_workers", "find_launcher", "settled"]

Launcher = Callable[[Launch, StopRequest], int]


def find_launcher(choice: str) -> Launcher:
    """The function of ``launch=NAME``; it returns an exit status, 0 also where others go on.

    Raises:
        MissingExtra: Its library is not installed.
    """
    launcher: Launcher = import_module(f"pipeline.launch.{choice}").launch
    return launcher


def settled(config: Config) -> Config:
    """The configuration of who launches: how many workers there are, and that nothing is computed here.

    The device and the number of workers may be left open; the network is loaded all the same, on the CPU: a run's
    identity is made of its weights.
    """
    workers = config["launch"]["workers"] or count_workers(config["device"])
    return {**config, "device": "cpu", "launch": {**config["launch"], "workers": workers}}


def count_workers(device: str) -> int:
    """One for each GPU, where they are used, or for each core."""
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return gpus or len(os.sched_getaffinity(0))
