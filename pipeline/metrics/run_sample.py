"""One metric over a sample of explanations, batch by batch; interrupted, it resumes from its last checkpoint."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.data.batch import Batch
from pipeline.data.stream import stream
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.errors import StoreError, UsageError
from pipeline.methods.method import image_seeds
from pipeline.metrics.control_maps import KINDS, with_controls
from pipeline.metrics.evaluation_result import MeasuredArrays
from pipeline.metrics.explained_batch import ExplainedBatch
from pipeline.metrics.metric import Metric
from pipeline.run.device_transfer import to_network_input
from pipeline.run.job import Job
from pipeline.store.atomic import atomic_write
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run
from pipeline.store.run_files import read_run_file
from pipeline.store.schema import canonical_json
from pipeline.system.progress import Progress
from pipeline.system.signals import Stopped, StopRequest

log = logging.getLogger(__name__)

FILE = "evaluate.part.json"


@dataclass(frozen=True)
class Sample:
    """Some explanations of a run.

    Attributes:
        run: All that is published.
        rows: Numbers of the explanations, ascending.
        seed: From which they were drawn, and all else is.
    """

    run: Run
    rows: list[int]
    seed: int

    @classmethod
    def of(cls, run: Run, *, images: int | None, seed: int) -> "Sample":
        """Draws a number of explanations of a run, or all if there are fewer.

        Raises:
            StoreError: Nothing is published yet.
        """
        if not len(run):
            raise StoreError(f"{run.folder} has no published explanation yet")
        wanted = len(run) if images is None else min(images, len(run))
        drawn = np.random.default_rng(seed).choice(len(run), wanted, replace=False)
        return cls(run, sorted(drawn.tolist()), seed)

    def explanations(self) -> Iterator[Explanation]:
        """In their order."""
        return (self.run[row] for row in self.rows)


class PartialMeasurement:
    """Checkpoint of a metric: the scores measured so far, in a file of the run's folder until the sample is complete.

    Args:
        run: The run's folder.
        identity: All that decides the numbers; a file with another identity is ignored.
    """

    def __init__(self, run: Path, identity: list[Any]) -> None:
        self._path, self._identity = run / FILE, json.loads(canonical_json(identity))

    def measure(self, job: Job, metric: Metric, sample: Sample, *, stop: StopRequest) -> MeasuredArrays:
        """Measures the rest of the sample.

        Args:
            job: Of the run.
            metric: The metric.
            sample: The explanations.
            stop: Checked before every forward pass.

        Returns:
            See :data:`pipeline.metrics.evaluation_result.MeasuredArrays`.

        Raises:
            UsageError: No image of the sample can be read.
            Stopped: A signal came; measured scores are saved.
        """
        parts = self._restored()
        done, size = sum(len(part["readable"]) for part in parts), job.batch_size
        batches = [sample.rows[first : first + size] for first in range(done, len(sample.rows), size)]
        evaluator = ChunkedEvaluator(job.options.internal_batch_size, device=lambda: job.device)
        saved = time.monotonic()
        evaluator.check = stop.check
        try:
            with Progress(len(sample.rows)) as progress:
                progress.add_existing(done)
                for rows, batch in zip(batches, _images(job, sample, batches), strict=True):
                    stop.check()
                    case, readable = case_of(
                        job, [sample.run[row] for row in rows], batch, seed=sample.seed, evaluator=evaluator
                    )
                    parts.append(_measured(metric, case, readable))
                    progress.add(len(rows), len(batch.failures))
                    if time.monotonic() - saved > job.options.store.checkpoint_seconds:
                        self._save(parts)
                        saved = time.monotonic()
        except Stopped:
            self._save(parts)
            raise
        return _joined(parts, sample)

    def remove(self) -> None:
        """Removes the file, once the complete scores are written elsewhere."""
        self._path.unlink(missing_ok=True)

    def _save(self, parts: Sequence[MeasuredArrays]) -> None:
        arrays = [{name: values.tolist() for name, values in part.items()} for part in parts]
        atomic_write(json.dumps({"identity": self._identity, "arrays": arrays}).encode(), self._path)

    def _restored(self) -> list[MeasuredArrays]:
        try:
            stored = json.loads(read_run_file(self._path, self._path.parent))
            if stored["identity"] != self._identity:
                return []
            return [{name: np.array(values) for name, values in part.items()} for part in stored["arrays"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s): it is measured again", self._path, error)
            return []


def _images(job: Job, sample: Sample, batches: list[list[int]]) -> Iterator[Batch]:
    manifest = sample.run.manifest
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        [[sample.run[row].index for row in rows] for rows in batches],
        num_workers=job.options.decoding_processes,
        pin_memory=job.device.type == "cuda",
    )


def case_of(
    job: Job, explanations: list[Explanation], batch: Batch, *, seed: int, evaluator: ChunkedEvaluator
) -> tuple[ExplainedBatch, np.ndarray]:
    """The explanations of a batch whose image could be read, and the mask of these, bool (n,)."""
    unreadable = {failure.index for failure in batch.failures}
    readable = np.array([explanation.index not in unreadable for explanation in explanations])
    remaining = [explanation for explanation in explanations if explanation.index not in unreadable]
    method, numbers = job.method, batch.index.tolist()
    images = to_network_input(batch.pixels, job.classifier.preprocessing, job.device, job.dtype)
    targets = torch.tensor([explanation.target for explanation in remaining], dtype=torch.int64, device=job.device)
    own_seeds = image_seeds(job.options.seed, numbers)

    def explain(points: Tensor) -> Tensor:
        pairs = targets[:, None]
        needed = method.reads_scores
        scores = method.scores(points, pairs) if needed else points.new_full(pairs.shape, torch.nan)
        maps = method.explain(points, pairs, scores=scores, seeds=own_seeds).maps
        return job.geometry.expand(job.geometry.reduce(maps.flatten(0, 1))).sum(1)

    seeds = image_seeds(seed, numbers)
    return ExplainedBatch(images, targets, seeds, method.view, evaluator, explain, remaining), readable


def _measured(metric: Metric, case: ExplainedBatch, readable: np.ndarray) -> MeasuredArrays:
    """Scores and curves of a batch; NaN for an image that could not be read."""
    scores = {f"scores.{name}": np.full((len(KINDS), len(readable)), np.nan) for name in metric.scores}
    if not readable.any():
        return {"readable": readable, **scores}
    maps = torch.from_numpy(np.stack([one.map.sum(0, dtype=np.float32) for one in case.stored]))
    measured = metric.measure(case, with_controls(maps.to(case.images.device), case.images, case.seeds))
    for name, values in measured.scores.items():
        scores[f"scores.{name}"][:, readable] = values.double().numpy(force=True)
    curves = {f"curves.{name}": values.double().numpy(force=True) for name, values in measured.curves.items()}
    return {"readable": readable, **scores, **curves}


def _joined(parts: Sequence[MeasuredArrays], sample: Sample) -> MeasuredArrays:
    """Concatenates the batches."""
    readable = np.concatenate([part["readable"] for part in parts])
    if not readable.any():
        raise UsageError(f"no image of the sample can be read, such as {next(sample.explanations()).path}")
    if not readable.all():
        log.warning("%d of %d images cannot be read: left out", (~readable).sum(), len(readable))
    names = {name for part in parts for name in part if name != "readable"}
    arrays = {name: [part[name] for part in parts if name in part] for name in sorted(names)}
    return {"readable": readable, **{name: np.concatenate(batches, 1) for name, batches in arrays.items()}}
