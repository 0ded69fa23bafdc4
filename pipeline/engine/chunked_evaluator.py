"""Chunked evaluation of all (image, point) pairs of a batch, and the choice of the chunk size.

The pairs form one sequence, cut into chunks of ``internal_batch_size``: the chunk bounds the memory, and only the last
one can be partly empty.
"""

import logging
import time
from collections.abc import Callable

import torch

from pipeline.system.device import synchronize

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
FIRST_CHUNK = 4
"""Size at which the search for the fastest chunk starts."""
LARGEST_CHUNK = 512
WORTH_GROWING = 0.95
"""Another chunk size is kept if a pair then takes at most this share of the time."""
OPTIONS = {"point": "internal_batch_size", "image": "batch_size"}
"""The option with the number of a unit that are evaluated together."""


class ChunkedEvaluator:
    """Evaluates a sequence of pairs in chunks of ``internal_batch_size``.

    Without a given size the evaluator finds the fastest while it works: it doubles the chunk as long as a pair gets
    cheaper, tries the sizes halfway to the neighbours, then keeps the best. A chunk that runs out of memory is halved
    and evaluated again; the results of earlier chunks stay.

    Args:
        internal_batch_size: Pairs in a chunk, or None to find the fastest.
        unit: Name of a pair in messages: ``point``, or ``image`` where whole images are explained.
        device: Returns the device that evaluates the chunks, when the evaluator starts; by default the CPU.

    Attributes:
        size: Pairs in a chunk at present.
        check: Called before each chunk; an exception from it ends the evaluation.

    Raises:
        ValueError: If the size is not a positive whole number.
    """

    def __init__(
        self,
        internal_batch_size: int | None = None,
        *,
        unit: str = "point",
        device: Callable[[], torch.device] = lambda: CPU,
    ) -> None:
        if internal_batch_size is not None and (not isinstance(internal_batch_size, int) or internal_batch_size < 1):
            raise ValueError(f"internal_batch_size must be a whole number from 1, not {internal_batch_size!r}")
        self.size = self._first = internal_batch_size or FIRST_CHUNK
        self.unit, self.device = unit, device
        self.check: Callable[[], None] = lambda: None
        self._given = internal_batch_size is not None
        self._growing = not self._given
        self._warm = False
        self._best = (float("inf"), self.size)
        self._between: list[int] | None = None

    @property
    def learned_size(self) -> int | None:
        """The chunk size that was the fastest; None while it is searched, or if a size was given."""
        return None if self._given or self._growing else self.size

    def start_at(self, size: int) -> None:
        """Start with a chunk size that was learned earlier for the same work; a given size stays."""
        if not self._given:
            self.size, self._growing = size, False

    def evaluate(self, pairs: int, evaluate_chunk: Callable[[int, int], None]) -> None:
        """Call ``evaluate_chunk(start, stop)`` for consecutive ranges that cover the sequence.

        Args:
            pairs: Length of the sequence.
            evaluate_chunk: Evaluates one range. It adds to its sums only once everything that can run out of memory is
                done, so that a range that is repeated after a halving is not added twice.

        Raises:
            MemoryError: If not even a single pair fits.
        """
        start = 0
        while start < pairs:
            self.check()
            stop = min(start + self.size, pairs)
            began = time.perf_counter()
            try:
                evaluate_chunk(start, stop)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                continue
            if self._growing and stop - start == self.size:
                self._learn(began)
            start = stop

    def _halve(self, error: Exception) -> None:
        """Halve the chunk after an out-of-memory error, and stop the search for the fastest size."""
        if self.size == 1:
            self.size = self._first  # for a caller who tries again with fewer images in memory
            raise MemoryError(
                f"not even one {self.unit} fits into memory: lower data.transform.crop or batch_size, "
                "choose a smaller model, or free memory on the device"
            ) from error
        self.size, self._growing = self.size // 2, False
        if self.device().type == "cuda":
            torch.cuda.empty_cache()
        log.warning("out of memory: continuing with %s=%d", OPTIONS[self.unit], self.size)

    def _learn(self, began: float) -> None:
        """Compare the time of the chunk that just ended with the best so far, and choose the next size.

        The size doubles while a pair gets cheaper. Then the sizes halfway to the neighbours of the best are tried.
        """
        synchronize(self.device())  # otherwise the time is that of the kernels' launch
        if not self._warm:  # the first chunk pays for initialisation
            self._warm = True
            return
        seconds = (time.perf_counter() - began) / self.size
        cheaper = seconds < WORTH_GROWING * self._best[0]
        if cheaper:
            self._best = (seconds, self.size)
        if self._between is None and cheaper and self.size < LARGEST_CHUNK:
            self.size *= 2
            return
        if self._between is None:
            self._between = [size for size in (self._best[1] * 3 // 2, self._best[1] * 3 // 4) if size <= LARGEST_CHUNK]
        self._growing = bool(self._between)
        self.size = self._between.pop(0) if self._growing else self._best[1]


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a device or the CPU allocator ran out of memory; for the latter PyTorch has no exception type."""
    messages = ("can't allocate memory", "could not create a primitive", "could not create a memory object")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(part in str(error) for part in messages)
