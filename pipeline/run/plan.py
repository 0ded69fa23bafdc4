"""What a run would take, before it starts."""

import time

import numpy as np
import torch

from pipeline.data.stream import stream
from pipeline.run.explain import explain
from pipeline.run.job import Job, lay_photographs
from pipeline.run.sizes import format_bytes, free_bytes, row_bytes, shard_starts, targets_per_image

SAMPLED = 3
"""Images explained to measure the rate; the first warms the machine up and does not count."""


def plan(job: Job) -> str:
    """Images, rows, bytes, free disk and time at a measured rate, in lines for a person.

    The photographs are read and explained, but nothing is written (except the demo's own photographs).
    """
    images = len(job.labels)
    rows = images * targets_per_image(job)
    size = images * row_bytes(job)
    free = free_bytes(job.run)
    seconds = seconds_per_image(job)
    lines = [
        f"folder    {job.run}",
        f"images    {images}, in {len(shard_starts(job)) - 1} shards",
        f"rows      {rows}, each {'x'.join(map(str, job.geometry.native_shape))} {job.config['store']['dtype']}",
        f"bytes     {format_bytes(size)}; free: {format_bytes(free)}" + ("" if free > size else "  NOT ENOUGH"),
        f"time      {format_duration(seconds * images)} at {1 / seconds:.3g} images/s, measured on {job.device}",
    ]
    return "\n".join(lines)


def seconds_per_image(job: Job) -> float:
    """Time that an image takes, from a few of the job's own."""
    lay_photographs(job)
    numbers = np.linspace(0, len(job.labels) - 1, min(SAMPLED, len(job.labels))).astype(int).tolist()
    batches = [batch for batch in (numbers[:1], numbers[1:]) if batch]
    preprocessing = job.classifier.preprocessing
    seconds = 0.0
    for batch in stream(job.root, job.index.paths, preprocessing, batches, num_workers=0, pin_memory=False):
        began = time.perf_counter()
        explain(job, batch)
        if job.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - began) / max(1, len(batch.index))
    return seconds


def format_duration(seconds: float) -> str:
    """A duration in the largest unit that makes it at least one and a half."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
