"""Plan of a run before it starts: images, bytes, time."""

import time

import numpy as np

from pipeline.data.stream import stream
from pipeline.run.explain import explain_batch
from pipeline.run.job import Job, write_photographs
from pipeline.run.shard_sizes import format_bytes, free_bytes, row_bytes, shard_starts, targets_per_image
from pipeline.system.device import synchronize

SAMPLED = 3
"""Images explained to measure the rate; the first is a warm-up and does not count."""


def plan_run(job: Job) -> str:
    """Images, rows, bytes, free disk space and time at a measured rate, as lines of text.

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
        f"rows      {rows}, each {'x'.join(map(str, job.geometry.native_shape))} {job.options.store.dtype}",
        f"bytes     {format_bytes(size)}; free: {format_bytes(free)}" + ("" if free > size else "  NOT ENOUGH"),
        f"time      {format_duration(seconds * images)} at {1 / seconds:.3g} images/s, measured on {job.device}",
    ]
    return "\n".join(lines)


def seconds_per_image(job: Job) -> float:
    """Time for one image, measured on a few of the job's own."""
    write_photographs(job)
    numbers = np.linspace(0, len(job.labels) - 1, min(SAMPLED, len(job.labels))).astype(int).tolist()
    batches = [batch for batch in (numbers[:1], numbers[1:]) if batch]
    preprocessing = job.classifier.preprocessing
    seconds = 0.0
    for batch in stream(job.root, job.index.paths, preprocessing, batches, num_workers=0, pin_memory=False):
        began = time.perf_counter()
        explain_batch(job, batch)
        synchronize(job.device)
        seconds = (time.perf_counter() - began) / max(1, len(batch.index))
    return seconds


def format_duration(seconds: float) -> str:
    """Format a duration in the largest unit in which it is at least 1.5."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
