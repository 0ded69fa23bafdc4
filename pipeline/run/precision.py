"""What less than float32 does to the maps, measured on a run's first images before it starts."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.data.stream import Batch, stream
from pipeline.run.explain import explain
from pipeline.run.job import Job, in_dtype
from pipeline.store.atomic import publish
from pipeline.store.schema import Rows

log = logging.getLogger(__name__)

FILE = "precision.json"
EXACT = ("float32", "float64")
SAMPLED = 4
"""Images that are explained in both."""


def measure_precision(job: Job, check: Callable[[], None]) -> None:
    """Says how far the maps of ``dtype`` are from those of float32, and records it in the run's folder, once.

    The error of a map is the L2 norm of its difference from float32's, of the norm of the latter.

    Args:
        job: Of the run.
        check: Called before every pass of the network.
    """
    path = job.run / FILE
    if job.config["dtype"] in EXACT or path.exists():
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
    found = {
        "dtype": job.config["dtype"], "compared_with": EXACT[0], "explanations": len(errors),
        "median_error": float(np.median(errors)), "largest_error": float(max(errors)),
    }  # fmt: skip
    log.info(
        "dtype=%(dtype)s: maps differ from %(compared_with)s's by %(median_error).2g of their norm "
        "(median of %(explanations)d explanations; at most %(largest_error).2g)",
        found,
    )
    publish(json.dumps(found).encode(), path)


def map_errors(rows: Rows, expected: Rows) -> list[float]:
    """Relative L2 error of each map; explanations that are not of the same class in both are left out."""
    known = dict(_maps(expected))
    return [
        float(np.linalg.norm(map - known[key]) / np.linalg.norm(known[key]))
        for key, map in _maps(rows)
        if key in known and known[key].any()
    ]


def _rows(job: Job, batch: Batch, check: Callable[[], None]) -> Rows:
    job.method.on_chunk(check)
    unrounded = job.config["store"] | {"dtype": "float32"}
    return explain(replace(job, config=job.config | {"store": unrounded}), batch)


def _maps(rows: Rows) -> list[tuple[tuple[int, int], np.ndarray]]:
    """((image, class), map) of each row."""
    columns = rows.columns
    if not columns:
        return []
    pairs = zip(columns["index"].tolist(), columns["target"].tolist(), strict=True)
    return list(zip(pairs, columns["attribution"].astype(np.float64), strict=True))
