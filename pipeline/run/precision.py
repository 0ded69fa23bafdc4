"""Error of maps computed in less than float32, measured on a run's first images before it starts."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pipeline.data.batch import Batch
from pipeline.data.stream import stream
from pipeline.run.device_transfer import set_precision
from pipeline.run.explain import explain_batch
from pipeline.run.job import Job, build_method, load_classifier
from pipeline.store.atomic import publish
from pipeline.store.schema import Rows

log = logging.getLogger(__name__)

FILE = "precision.json"
EXACT = ("float32", "float64")
SAMPLED = 4
"""Images that are explained in both dtypes."""


def measure_precision(job: Job, check: Callable[[], None]) -> None:
    """Measures the error of the maps of ``dtype``, logs it and writes it to the run's folder, once.

    The error of a map is relative: the L2 norm of its difference from the float32 map over the norm of that one.

    Args:
        job: Of the run.
        check: Called before every forward pass.
    """
    path = job.run / FILE
    if job.options.dtype in EXACT or path.exists():
        return
    numbers = list(range(min(SAMPLED, len(job.labels))))
    (batch,) = stream(
        job.root, job.index.paths, job.classifier.preprocessing, [numbers], num_workers=0, pin_memory=False
    )
    with in_dtype(job, EXACT[0]) as exact:
        expected = _rows(exact, batch, check)
    errors = map_errors(_rows(job, batch, check), expected)
    if not errors:
        return
    measured = {
        "dtype": job.options.dtype, "compared_with": EXACT[0], "explanations": len(errors),
        "median_error": float(np.median(errors)), "largest_error": float(max(errors)),
    }  # fmt: skip
    log.info(
        "dtype=%(dtype)s: maps differ from %(compared_with)s's by %(median_error).2g of their norm "
        "(median of %(explanations)d explanations; at most %(largest_error).2g)",
        measured,
    )
    publish(json.dumps(measured).encode(), path)


def map_errors(rows: Rows, expected: Rows) -> list[float]:
    """Relative L2 error of each map; pairs of different classes, as predictions may differ, are left out."""
    exact = dict(_maps(expected))
    return [
        float(np.linalg.norm(map - exact[key]) / np.linalg.norm(exact[key]))
        for key, map in _maps(rows)
        if key in exact and exact[key].any()
    ]


@contextmanager
def in_dtype(job: Job, dtype: str) -> Iterator[Job]:
    """The same job, computed in another dtype inside the context; its maps are not for the same store."""
    options = replace(job.options, dtype=dtype)
    set_precision(dtype)
    try:
        classifier = load_classifier(options)
        method, geometry = build_method(options, classifier)
        yield replace(job, options=options, classifier=classifier, method=method, geometry=geometry)
    finally:
        set_precision(job.options.dtype)


def _rows(job: Job, batch: Batch, check: Callable[[], None]) -> Rows:
    """Rows of a batch, whose maps are not rounded to the dtype of the store."""
    job.method.on_chunk(check)
    unrounded = replace(job.options, store=replace(job.options.store, dtype="float32"))
    return explain_batch(replace(job, options=unrounded), batch)


def _maps(rows: Rows) -> list[tuple[tuple[int, int], np.ndarray]]:
    """((image, class), map in float64) of each row."""
    columns = rows.columns
    if not columns:
        return []
    pairs = zip(columns["index"].tolist(), columns["target"].tolist(), strict=True)
    return list(zip(pairs, columns["attribution"].astype(np.float64), strict=True))
