"""The whole pipeline against the bare loop: the same images from files to files, and from tensors to tensors."""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import torch
from bench_clock import Clock, Row
from bench_material import source
from omegaconf import OmegaConf

from pipeline.data.stream import stream
from pipeline.methods.method import image_seeds
from pipeline.run.device_transfer import to_network_input
from pipeline.run.job import Job, prepare_job, write_photographs
from pipeline.run.loop import run_job
from pipeline.run.options import RunOptions
from pipeline.system.configuration import conf_folder
from pipeline.system.signals import StopRequest


def whole(name: str, clock: Clock, options: argparse.Namespace) -> Row:
    """Seconds of a run, decoding and writing beside the computation, and of its method on tensors alone.

    Wall seconds, and process seconds (without those of the processes that decode), which a busy machine changes less.
    """
    torch.set_num_threads(os.cpu_count() or 1)
    times: dict[str, list[float]] = {"ours": [], "bare": [], "ours_cpu": [], "bare_cpu": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            job = _job(name, Path(folder, str(number)), options)
            write_photographs(job)
            for peer, (wall, processor) in (
                ("bare", _bare(job)),
                ("ours", _timed(partial(run_job, job, StopRequest()))),
            ):
                times[peer].append(wall)
                times[f"{peer}_cpu"].append(processor)
    medians = {peer: statistics.median(values) for peer, values in times.items()}
    return {
        "work": f"whole pipeline against bare loop, ig {options.n_steps}, {options.images} images", "network": name,
        **medians, "ratio": medians["ours"] / medians["bare"], "ratio_cpu": medians["ours_cpu"] / medians["bare_cpu"],
        "threads": torch.get_num_threads(), "photographs": source(),
    }  # fmt: skip


def _job(name: str, folder: Path, options: argparse.Namespace) -> Job:
    root = os.environ.get("IMAGENET_SAMPLE")
    overrides = [
        "model=torchvision", f"model.name={name}", "model.weights=null", f"n_steps={options.n_steps}",
        f"output_dir={folder}", f"device={options.device}", f"data.limit={options.images}", "internal_batch_size=8",
        f"data.root={root or 'null'}",
    ]  # fmt: skip
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = hydra.compose("config", overrides=overrides, return_hydra_config=True)
    choices = dict(composed.hydra.runtime.choices)
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    config: Any = OmegaConf.to_container(own, resolve=True)
    return prepare_job(RunOptions.from_config(config, choices))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and process seconds."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _bare(job: Job) -> tuple[float, float]:
    """Seconds of the method alone, batch by batch, the images decoded before."""
    numbers = list(range(len(job.labels)))
    batches = [numbers[first : first + job.batch_size] for first in range(0, len(numbers), job.batch_size)]
    decoded = list(
        stream(job.root, job.index.paths, job.classifier.preprocessing, batches, num_workers=0, pin_memory=False)
    )
    preprocessing = job.classifier.preprocessing
    tensors = [
        (to_network_input(batch.pixels, preprocessing, job.device, job.dtype), image_seeds(0, batch.index.tolist()))
        for batch in decoded
    ]
    job.method.logits(tensors[0][0][:1])  # warm

    def explain() -> None:
        for images, seeds in tensors:
            outputs = job.method.logits(images)
            scores, targets = outputs.max(1, keepdim=True)
            job.method.explain(images, targets, scores=scores, seeds=seeds)

    return _timed(explain)
