"""Durations of several things in one process, in turns, so that whatever else the machine does affects all of them."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.system.device import synchronize

Work = Callable[[], Any]
Row = dict[str, Any]
"""One result: names and numbers, as JSON has them."""
MATRIX = 1024
"""Side of the matrices whose product says what the machine can do."""


class Clock:
    """Seconds of a device: process time on a CPU, which other processes do not add to; else until it is idle."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, work: Work) -> float:
        """Seconds that the work takes."""
        began = self._now()
        work()
        return self._now() - began

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        synchronize(self.device)
        return time.perf_counter()

    def in_turns(self, works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
        """Seconds of each work in each round."""
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                times[name].append(self(work))
        return times

    def rate(self) -> float:
        """Operations a second of a product of two large matrices: what no network exceeds."""
        one, other = torch.randn(2, MATRIX, MATRIX, device=self.device)
        torch.mm(one, other)
        return 2 * MATRIX**3 / min(self(lambda: torch.mm(one, other)) for _ in range(5))


def compared(times: dict[str, list[float]]) -> Row:
    """Median seconds of each peer, and the median over the rounds of how many times longer than ``ours`` it took."""
    medians = {peer: statistics.median(values) for peer, values in times.items()}
    ratios = {
        f"ratio_{peer}": statistics.median(theirs / ours for theirs, ours in zip(values, times["ours"], strict=True))
        for peer, values in times.items()
        if peer != "ours"
    }
    return medians | ratios


def range_difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference of two maps, of the range of the second."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / (expected.max() - expected.min()))
