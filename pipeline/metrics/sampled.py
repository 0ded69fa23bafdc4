"""One metric over a sample of explanations, batch by batch; stopped, it goes on where it stopped."""

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

from pipeline.data.stream import Batch, stream
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.errors import StoreError, UsageError
from pipeline.methods.method import image_seeds
from pipeline.metrics.case import Case
from pipeline.metrics.control_maps import KINDS, with_controls
from pipeline.metrics.metric import Metric
from pipeline.metrics.result import Arrays
from pipeline.run.explain import to_network_input
from pipeline.run.job import Job
from pipeline.run.loop import num_workers
from pipeline.store.atomic import replace
from pipeline.store.explanation import Explanation
from pipeline.store.reader import Run
from pipeline.store.run_files import read_file
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
        """So many explanations of a run, or all if there are not so many.

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
    """What a metric has measured so far, in a file of the run's folder until it is all.

    Args:
        run: The run's folder.
        identity: All that decides the numbers; a file of something else is left aside.
    """

    def __init__(self, run: Path, identity: list[Any]) -> None:
        self._path, self._identity = run / FILE, json.loads(canonical_json(identity))

    def measure(self, job: Job, metric: Metric, sample: Sample, *, stop: StopRequest) -> Arrays:
        """Measures what is left.

        Args:
            job: Of the run.
            metric: What to measure.
            sample: Of what.
            stop: Asked before every pass of the network.

        Returns:
            See :data:`pipeline.metrics.result.Arrays`.

        Raises:
            UsageError: No image of the sample can be read.
            Stopped: A signal came; what was measured is kept.
        """
        found = self._restored()
        done, size = sum(len(one["readable"]) for one in found), job.batch_size
        batches = [sample.rows[first : first + size] for first in range(done, len(sample.rows), size)]
        evaluator, kept = ChunkedEvaluator(job.config["internal_batch_size"]), time.monotonic()
        evaluator.check = stop.check
        try:
            with Progress(len(sample.rows)) as progress:
                progress.found(done)
                for rows, batch in zip(batches, _images(job, sample, batches), strict=True):
                    stop.check()
                    case, readable = case_of(
                        job, [sample.run[row] for row in rows], batch, seed=sample.seed, evaluator=evaluator
                    )
                    found.append(_measured(metric, case, readable))
                    progress.add(len(rows), len(batch.failures))
                    if time.monotonic() - kept > job.config["store"]["checkpoint_seconds"]:
                        self._keep(found)
                        kept = time.monotonic()
        except Stopped:
            self._keep(found)
            raise
        return _joined(found, sample)

    def remove(self) -> None:
        """After all is measured and written elsewhere."""
        self._path.unlink(missing_ok=True)

    def _keep(self, found: Sequence[Arrays]) -> None:
        arrays = [{name: values.tolist() for name, values in one.items()} for one in found]
        replace(json.dumps({"identity": self._identity, "arrays": arrays}).encode(), self._path)

    def _restored(self) -> list[Arrays]:
        try:
            stored = json.loads(read_file(self._path, self._path.parent))
            if stored["identity"] != self._identity:
                return []
            return [{name: np.array(values) for name, values in one.items()} for one in stored["arrays"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s): measured anew", self._path, error)
            return []


def _images(job: Job, sample: Sample, batches: list[list[int]]) -> Iterator[Batch]:
    manifest = sample.run.manifest
    return stream(
        manifest.root,
        manifest.paths,
        job.classifier.preprocessing,
        [[sample.run[row].index for row in rows] for rows in batches],
        num_workers=num_workers(job.config),
        pin_memory=job.device.type == "cuda",
    )


def case_of(
    job: Job, explanations: list[Explanation], batch: Batch, *, seed: int, evaluator: ChunkedEvaluator
) -> tuple[Case, np.ndarray]:
    """Those explanations of a batch whose image could be read, and which they are, bool (n,)."""
    lost = {failure.index for failure in batch.failures}
    readable = np.array([explanation.index not in lost for explanation in explanations])
    left = [explanation for explanation in explanations if explanation.index not in lost]
    method, images, numbers = job.method, to_network_input(job, batch), batch.index.tolist()
    targets = torch.tensor([explanation.target for explanation in left], dtype=torch.int64, device=job.device)
    own_seeds = image_seeds(job.config["seed"], numbers)

    def explain(points: Tensor) -> Tensor:
        pairs = targets[:, None]
        asked = method.reads_scores
        scores = method.scores(points, pairs) if asked else points.new_full(pairs.shape, torch.nan)
        maps = method.explain(points, pairs, scores=scores, seeds=own_seeds).maps
        return job.geometry.expand(job.geometry.reduce(maps.flatten(0, 1))).sum(1)

    seeds = image_seeds(seed, numbers)
    return Case(images, targets, seeds, method.view, job.classifier.multi_label, evaluator, explain, left), readable


def _measured(metric: Metric, case: Case, readable: np.ndarray) -> Arrays:
    """What the metric finds of a batch; NaN for an image that could not be read."""
    scores = {f"scores.{name}": np.full((len(KINDS), len(readable)), np.nan) for name in metric.scores}
    if not readable.any():
        return {"readable": readable, **scores}
    maps = torch.from_numpy(np.stack([one.map.sum(0, dtype=np.float32) for one in case.stored]))
    measured = metric.measure(case, with_controls(maps.to(case.images.device), case.images, case.seeds))
    for name, values in measured.scores.items():
        scores[f"scores.{name}"][:, readable] = values.double().numpy(force=True)
    curves = {f"curves.{name}": values.double().numpy(force=True) for name, values in measured.curves.items()}
    return {"readable": readable, **scores, **curves}


def _joined(found: Sequence[Arrays], sample: Sample) -> Arrays:
    """Batches one after the other."""
    readable = np.concatenate([one["readable"] for one in found])
    if not readable.any():
        raise UsageError(f"no image of the sample can be read, such as {next(sample.explanations()).path}")
    if not readable.all():
        log.warning("%d of %d images cannot be read: left out", (~readable).sum(), len(readable))
    names = {name for one in found for name in one if name != "readable"}
    parts = {name: [one[name] for one in found if name in one] for name in sorted(names)}
    return {"readable": readable, **{name: np.concatenate(arrays, 1) for name, arrays in parts.items()}}
