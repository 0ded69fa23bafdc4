"""Evaluation of a run's maps: metrics on a sample of them, beside the same metrics on control maps."""

import json
import logging
from typing import Any

from pipeline.errors import UsageError
from pipeline.metrics.evaluation_result import (
    RESULT_FILE,
    Result,
    encode_result,
    metric_result,
    new_result,
    read_result,
)
from pipeline.metrics.metric import Metric
from pipeline.metrics.run_sample import PartialMeasurement, Sample
from pipeline.run.job import Job, write_photographs
from pipeline.run.loop import new_manifest, out_of_memory_as_usage_error
from pipeline.run.task_options import EvaluateOptions
from pipeline.store.atomic import atomic_write
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import freeze_manifest
from pipeline.store.reader import Run
from pipeline.store.shard_reader import ShardReader
from pipeline.system.configuration import Config, build
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)


def evaluate_run(job: Job, options: EvaluateOptions, *, stop: StopRequest) -> Result:
    """Computes the metrics that are not in the run's ``evaluate.json`` yet, on a sample of its explanations.

    Args:
        job: Of the run.
        options: Of ``task=evaluate``.
        stop: Checked before every forward pass.

    Returns:
        The content of the file at the end.

    Raises:
        UsageError: An option is invalid, no image of the sample can be read, or out of memory.
        NotSpatial: The maps have no positions in the image.
        StoreError: The network or the images are not the run's, nothing is published, or damage was found.
        Stopped: A signal came; the same command continues.
    """
    metrics = build_metrics(job, options)
    write_photographs(job)
    freeze_manifest(job.run, new_manifest(job))
    sample = Sample.of(Run(ShardReader(job.run)), images=options.images, seed=options.seed)
    result = _stored_or_new_result(sample, options.resamples)
    job.method.on_chunk(stop.check)
    for name, metric in metrics.items():
        own = _own_options(options.nodes[name])
        before = result["metrics"].get(name, {})
        if (before.get("options"), before.get("protocol")) == (own, metric.protocol):
            continue
        log.info("%s: %s", name, metric.title)
        part = PartialMeasurement(job.run, [result["run"], result["sample"], name, own, metric.protocol])
        with out_of_memory_as_usage_error():
            measured = part.measure(job, metric, sample, stop=stop)
        result["metrics"][name] = metric_result(metric, own, measured, resamples=options.resamples, seed=sample.seed)
        atomic_write(encode_result(result), job.run / RESULT_FILE)
        part.remove()
    return _as_written(result)


def build_metrics(job: Job, options: EvaluateOptions) -> dict[str, Metric]:
    """Builds the requested metrics, by name.

    Raises:
        UsageError: There is no such metric, an option is invalid, or the run explains a neuron.
    """
    if not job.method.view.explains_class:
        raise UsageError("task=evaluate evaluates maps of a class; this run explains a neuron")
    for name in options.metrics:
        if name not in options.nodes:
            raise UsageError(f"task.metrics: no metric {name!r}; there are {', '.join(options.nodes)}")
    return {name: build(options.nodes[name]) for name in options.metrics}


def _own_options(node: Config) -> Config:
    return {key: value for key, value in node.items() if key != "_target_"}


def _stored_or_new_result(sample: Sample, resamples: int) -> Result:
    """The result of an earlier command on the same sample, or an empty one."""
    attributes, listed = sample.run.attributes, list(sample.explanations())
    named = {name: attributes[name] for name in ("method", "options", "model", "output", "target_option")}
    begun = _as_written(
        new_result(
            run={"fingerprint": sample.run.manifest.fingerprint, **named},
            sample={"seed": sample.seed, "explanations": len(listed), "published": len(sample.run)},
            resamples=resamples,
            explanations=_listed(listed),
        )
    )
    before = read_result(sample.run.folder)
    same = before is not None and all(before.get(key) == begun[key] for key in begun if key != "metrics")
    return before if before is not None and same else begun


def _listed(explanations: list[Explanation]) -> dict[str, list[int]]:
    return {
        "index": [explanation.index for explanation in explanations],
        "target": [explanation.target for explanation in explanations],
        "label": [explanation.label for explanation in explanations],
    }


def _as_written(result: Result) -> Result:
    written: dict[str, Any] = json.loads(encode_result(result))
    return written
