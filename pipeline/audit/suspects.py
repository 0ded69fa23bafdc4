"""Suspects: the decision which classes have an outlying shortcut score, and the order of the classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.audit.evidence import Shortcut
from pipeline.audit.findings import ClassFindings

MIN_SCORE, MIN_RATIO = 0.05, 3.0
"""Thresholds of a suspect: its score, and the ratio of its score to the median of the other classes' scores."""


def rank_suspects(classes: Sequence[ClassFindings]) -> list[ClassFindings]:
    """Mark the suspects and sort the classes: suspects by score, the others by number, since their scores are noise."""
    marked = mark_suspects([one.shortcut for one in classes])
    decided = [replace(one, shortcut=shortcut) for one, shortcut in zip(classes, marked, strict=True)]
    return sorted(
        decided, key=lambda one: (-one.shortcut.score if one.is_suspect and one.shortcut else 0.0, one.number)
    )


def count_suspects(classes: Sequence[ClassFindings]) -> int:
    """Number of suspects among the classes."""
    return sum(one.is_suspect for one in classes)


def mark_suspects(shortcuts: Sequence[Shortcut | None]) -> list[Shortcut | None]:
    """Decide for the shortcuts of all classes, None of those with too few maps, whether they are suspects."""
    scores = np.array([np.nan if one is None else one.score for one in shortcuts])
    known = np.flatnonzero(np.isfinite(scores))
    medians = {number: float(np.median(scores[known[known != number]])) for number in known.tolist() if len(known) > 1}
    return [
        one and replace(one, suspect=one.score >= max(MIN_SCORE, MIN_RATIO * medians.get(number, 0.0)))
        for number, one in enumerate(shortcuts)
    ]
