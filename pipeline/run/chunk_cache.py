"""Chunks that a run found to be the fastest, kept in its folder, so that a later start need not look again."""

import json

import torch

from pipeline.errors import StoreError
from pipeline.run.job import Job
from pipeline.store.atomic import replace
from pipeline.store.run_files import read_file

FILE = "chunks.json"


class ChunkSizeCache:
    """Gives a job's method the sizes that an earlier start on such a device found, and keeps those that it finds.

    Args:
        job: Of the run; its folder belongs to one network, method and size of image, so that the device is all that
            the sizes depend on besides.
    """

    def __init__(self, job: Job) -> None:
        self._path = job.run / FILE
        self._device = device_name(job.device)
        self._evaluators = job.method.chunked_evaluators()
        known = self._read().get(self._device, [])
        self._kept = known if len(known) == len(self._evaluators) else [None] * len(self._evaluators)
        for evaluator, size in zip(self._evaluators, self._kept, strict=True):
            if size is not None:
                evaluator.start_at(size)

    def keep(self) -> None:
        """Writes what was found since."""
        sizes = [evaluator.found or kept for evaluator, kept in zip(self._evaluators, self._kept, strict=True)]
        if sizes != self._kept:
            self._kept = sizes
            replace(json.dumps(self._read() | {self._device: sizes}).encode(), self._path)

    def _read(self) -> dict[str, list[int | None]]:
        try:
            sizes: dict[str, list[int | None]] = json.loads(read_file(self._path, self._path.parent))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StoreError(f"{self._path} is damaged: {error}; remove it, it is found anew") from error
        if not isinstance(sizes, dict) or not all(map(_are_sizes, sizes.values())):
            raise StoreError(f"{self._path} is damaged: it holds no sizes; remove it, it is found anew")
        return sizes


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(one is None or (type(one) is int and one > 0) for one in value)


def device_name(device: torch.device) -> str:
    """What decides how fast a chunk is: a GPU's product name, or how many threads share a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {torch.get_num_threads()}"
