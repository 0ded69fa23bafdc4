"""Cache of the fastest chunk sizes, in the run's folder: a later start does not measure them again."""

import json

import torch

from pipeline.errors import StoreError
from pipeline.run.job import Job
from pipeline.store.atomic import atomic_write
from pipeline.store.run_files import read_run_file

FILE = "chunks.json"


class ChunkSizeCache:
    """Chunk sizes of a job's method, restored from an earlier start on the same kind of device, and saved for later.

    Args:
        job: The job. Its folder belongs to one network, method and image size, so the device is the only key.
    """

    def __init__(self, job: Job) -> None:
        self._path = job.run / FILE
        self._device = device_name(job.device)
        self._evaluators = job.method.chunked_evaluators()
        stored = self._read().get(self._device, [])
        self._saved = stored if len(stored) == len(self._evaluators) else [None] * len(self._evaluators)
        for evaluator, size in zip(self._evaluators, self._saved, strict=True):
            if size is not None:
                evaluator.start_at(size)

    def save(self) -> None:
        """Writes the sizes, if a new one was measured."""
        sizes = [
            evaluator.learned_size or saved for evaluator, saved in zip(self._evaluators, self._saved, strict=True)
        ]
        if sizes != self._saved:
            self._saved = sizes
            atomic_write(json.dumps(self._read() | {self._device: sizes}).encode(), self._path)

    def _read(self) -> dict[str, list[int | None]]:
        try:
            sizes: dict[str, list[int | None]] = json.loads(read_run_file(self._path, self._path.parent))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StoreError(f"{self._path} is damaged: {error}; remove it, it is measured again") from error
        if not isinstance(sizes, dict) or not all(map(_are_sizes, sizes.values())):
            raise StoreError(f"{self._path} is damaged: expected sizes by device; remove it, it is measured again")
        return sizes


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(one is None or (type(one) is int and one > 0) for one in value)


def device_name(device: torch.device) -> str:
    """Key of the cache: a GPU's product name, or the number of threads on a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {torch.get_num_threads()}"
