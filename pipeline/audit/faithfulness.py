"""Unfaithful maps: convergence deltas that violate completeness (Sundararajan et al. 2017, section 3)."""

import os

import numpy as np

from pipeline.audit.image_findings import Unfaithful
from pipeline.audit.image_table import ImageTable

MAX_RELATIVE_DELTA = 0.2
"""Relative delta above which a map counts as unfaithful."""


def relative_delta(images: ImageTable) -> np.ndarray:
    """|sum(map) - (F(x) - F(baseline))| / |F(x) - F(baseline)|, float64 (n,); NaN where the method has no delta."""
    change = np.abs(images.columns["score"].astype(np.float64) - images.columns["baseline_score"])
    relative: np.ndarray = np.abs(images.columns["convergence_delta"]) / np.maximum(change, 1e-6)  # no division by 0
    return relative


def unfaithful_images(images: ImageTable, relative: np.ndarray, limit: int) -> list[Unfaithful]:
    """Images whose relative delta is above `MAX_RELATIVE_DELTA`, the largest first."""
    order = np.argsort(-relative, kind="stable")  # NaN is last
    return [
        Unfaithful(
            row=int(images.row[position]),
            path=os.fsdecode(images.source.manifest.paths[int(images.columns["index"][position])]),
            number=int(images.group[position]),
            delta=float(images.columns["convergence_delta"][position]),
            relative=float(relative[position]),
        )
        for position in order[: int(np.sum(relative > MAX_RELATIVE_DELTA))][:limit].tolist()
    ]
