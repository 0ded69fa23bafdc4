"""Time spent in each stage of the main loop: read, compute, write."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class StageTimes:
    """Sums of the wall time that the main thread spends in each stage; reading and writing overlap with computing."""

    def __init__(self) -> None:
        self.seconds = {"read": 0.0, "compute": 0.0, "write": 0.0}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the time inside the context to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began

    def measure_wait(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """Passes items on, and adds the time that each is waited for to a stage."""
        iterator = iter(items)
        while True:
            with self.measure(stage):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def __str__(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        stages = (f"{stage} {seconds:.1f} s ({seconds / total:.0%})" for stage, seconds in self.seconds.items())
        return "waited for " + ", ".join(stages)
