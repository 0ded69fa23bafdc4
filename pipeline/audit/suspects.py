"""The decision which classes are suspects: whose shortcut score stands out, and the order of the classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.audit.evidence import Shortcut
from pipeline.audit.findings import ClassFindings

SUSPECT, BEYOND = 0.05, 3.0
"""A suspect has at least this score, and so many times the median of the other classes' scores."""


def ranked(classes: Sequence[ClassFindings]) -> list[ClassFindings]:
    """The classes with the word whether they are suspects; these by their score, since what orders others is noise."""
    found = suspects([one.shortcut for one in classes])
    judged = [replace(one, shortcut=shortcut) for one, shortcut in zip(classes, found, strict=True)]
    return sorted(judged, key=lambda one: (-one.shortcut.score if one.is_suspect and one.shortcut else 0.0, one.number))


def count_suspects(classes: Sequence[ClassFindings]) -> int:
    """How many of the classes are suspects."""
    return sum(one.is_suspect for one in classes)


def suspects(found: Sequence[Shortcut | None]) -> list[Shortcut | None]:
    """The shortcuts of all classes with the word whether they stand out; None of classes with too few maps."""
    scores = np.array([np.nan if one is None else one.score for one in found])
    known = np.flatnonzero(np.isfinite(scores))
    usual = {place: float(np.median(scores[known[known != place]])) for place in known.tolist() if len(known) > 1}
    return [
        one and replace(one, suspect=one.score >= max(SUSPECT, BEYOND * usual.get(place, 0.0)))
        for place, one in enumerate(found)
    ]
