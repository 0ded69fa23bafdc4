"""Images whose map does not sum to what the method promises (completeness; Sundararajan et al. 2017, section 3)."""

import os

import numpy as np

from pipeline.audit.image_findings import Unfaithful
from pipeline.audit.image_table import Images

UNFAITHFUL = 0.2
"""Relative delta from which a map is not to be trusted."""


def relative_delta(images: Images) -> np.ndarray:
    """|sum(map) - (F(x) - F(baseline))| / |F(x) - F(baseline)|, float64 (n,); NaN where the method has no delta."""
    change = np.abs(images.columns["score"].astype(np.float64) - images.columns["baseline_score"])
    relative: np.ndarray = np.abs(images.columns["convergence_delta"]) / np.maximum(change, 1e-6)
    return relative


def unfaithful(images: Images, relative: np.ndarray, limit: int) -> list[Unfaithful]:
    """The images whose relative delta is above `UNFAITHFUL`, the largest first."""
    order = np.argsort(-relative, kind="stable")  # NaN is last
    return [
        Unfaithful(
            row=int(images.row[position]),
            path=os.fsdecode(images.source.manifest.paths[int(images.columns["index"][position])]),
            number=int(images.group[position]),
            delta=float(images.columns["convergence_delta"][position]),
            relative=float(relative[position]),
        )
        for position in order[: int(np.sum(relative > UNFAITHFUL))][:limit].tolist()
    ]
