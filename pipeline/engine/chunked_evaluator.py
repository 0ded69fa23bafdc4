"""Chunked evaluation of all (image, point) pairs of a batch.

The pairs form one sequence, cut into chunks of ``internal_batch_size``: the chunk bounds the memory, and only the last
one can be partly empty.
"""

import logging
import time
from collections.abc import Callable

import torch

from pipeline.engine.chunk_size import ChunkSize
from pipeline.system.device import synchronize

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
OPTIONS = {"point": "internal_batch_size", "image": "batch_size"}
"""The option with the number of a unit that are evaluated together."""


class ChunkedEvaluator:
    """Evaluates a sequence of pairs in chunks of ``internal_batch_size``.

    Without a given size the fastest is searched meanwhile (:mod:`pipeline.engine.chunk_size`). A chunk that runs out of
    memory is halved and evaluated again; the results of earlier chunks stay.

    Args:
        internal_batch_size: Pairs in a chunk, or None to find the fastest.
        unit: Name of a pair in messages: ``point``, or ``image`` where whole images are explained.
        device: Returns the device that evaluates the chunks, when the evaluator starts; by default the CPU.

    Attributes:
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
        self._chunk_size = ChunkSize(internal_batch_size)
        self.unit, self.device = unit, device
        self.check: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        """Pairs in a chunk at present."""
        return self._chunk_size.current

    @property
    def learned_size(self) -> int | None:
        """The chunk size that was the fastest; None while it is searched, or if a size was given."""
        return self._chunk_size.learned

    def start_at(self, size: int) -> None:
        """Start with a chunk size that was learned earlier for the same work; a given size stays."""
        self._chunk_size.start_at(size)

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
            if self._chunk_size.searching and stop - start == self.size:
                synchronize(self.device())  # otherwise the time is that of the kernels' launch
                self._chunk_size.observe(time.perf_counter() - began)
            start = stop

    def _halve(self, error: Exception) -> None:
        if not self._chunk_size.halve():
            raise MemoryError(
                f"not even one {self.unit} fits into memory: lower data.transform.crop or batch_size, "
                "choose a smaller model, or free memory on the device"
            ) from error
        if self.device().type == "cuda":
            torch.cuda.empty_cache()
        log.warning("out of memory: continuing with %s=%d", OPTIONS[self.unit], self.size)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a device or the CPU allocator ran out of memory; for the latter PyTorch has no exception type."""
    messages = ("can't allocate memory", "could not create a primitive", "could not create a memory object")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(part in str(error) for part in messages)
