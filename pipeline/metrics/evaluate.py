"""How far a run's maps can be trusted: metrics on a sample of them, beside maps without a thought."""

import json
import logging
from typing import Any

from pipeline.errors import UsageError
from pipeline.metrics.metric import Metric
from pipeline.metrics.result import FILE, Result, described, encode, new_result, read
from pipeline.metrics.sampled import PartialMeasurement, Sample
from pipeline.run.job import Job, lay_photographs
from pipeline.run.loop import new_manifest, report_out_of_memory
from pipeline.store.atomic import replace
from pipeline.store.explanation import Explanation
from pipeline.store.manifest import freeze
from pipeline.store.reader import Run
from pipeline.store.shard_reader import ShardReader
from pipeline.system.configuration import Config, build
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)


def evaluate(job: Job, options: Config, *, stop: StopRequest) -> Result:
    """Measures what the run's ``evaluate.json`` does not hold yet of a sample of its explanations.

    Args:
        job: Of the run.
        options: Of ``task=evaluate``.
        stop: Asked before every pass of the network.

    Returns:
        What the file holds in the end.

    Raises:
        UsageError: An option that cannot be, no image of the sample can be read, or memory does not suffice.
        NotSpatial: The maps belong nowhere in the image.
        StoreError: The network or the images are not the run's, nothing is published, or damage was found.
        Stopped: A signal came; the same command goes on.
    """
    metrics = metrics_of(job, options)
    lay_photographs(job)
    freeze(job.run, new_manifest(job))
    sample = Sample.of(Run(ShardReader(job.run)), images=options["images"], seed=options["seed"])
    result = _begun(sample, options["resamples"])
    job.method.on_chunk(stop.check)
    for name, metric in metrics.items():
        own = _own_options(options[name])
        before = result["metrics"].get(name, {})
        if (before.get("options"), before.get("protocol")) == (own, metric.protocol):
            continue
        log.info("%s: %s", name, metric.title)
        part = PartialMeasurement(job.run, [result["run"], result["sample"], name, own, metric.protocol])
        with report_out_of_memory():
            measured = part.measure(job, metric, sample, stop=stop)
        result["metrics"][name] = described(metric, own, measured, resamples=options["resamples"], seed=sample.seed)
        replace(encode(result), job.run / FILE)
        part.remove()
    return _as_written(result)


def metrics_of(job: Job, options: Config) -> dict[str, Metric]:
    """The metrics that are asked for, by name.

    Raises:
        UsageError: There is no such metric, an option cannot be, or what the run explains cannot be judged.
    """
    if job.config["names"]["view"] == "neuron":
        raise UsageError("task=evaluate judges maps of a class; this run explains a neuron")
    known = [name for name, node in options.items() if isinstance(node, dict) and "_target_" in node]
    for name in options["metrics"]:
        if name not in known:
            raise UsageError(f"task.metrics: no metric {name!r}; there are {', '.join(known)}")
    return {name: build(options[name]) for name in options["metrics"]}


def _own_options(node: Config) -> Config:
    return {key: value for key, value in node.items() if key != "_target_"}


def _begun(sample: Sample, resamples: int) -> Result:
    """What an earlier command found of the same sample, or an empty result."""
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
    before = read(sample.run.folder)
    same = before is not None and all(before.get(key) == begun[key] for key in begun if key != "metrics")
    return before if before is not None and same else begun


def _listed(explanations: list[Explanation]) -> dict[str, list[int]]:
    return {
        "index": [explanation.index for explanation in explanations],
        "target": [explanation.target for explanation in explanations],
        "label": [explanation.label for explanation in explanations],
    }


def _as_written(result: Result) -> Result:
    written: dict[str, Any] = json.loads(encode(result))
    return written
