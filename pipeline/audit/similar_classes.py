"""Classes whose mean maps coincide, beyond what all classes' maps have in common."""

from collections.abc import Sequence

import numpy as np

from pipeline.audit.findings import ClassFindings
from pipeline.audit.image_findings import SimilarClasses

FEWEST = 3
"""Maps that a class must have."""
ALIKE = 0.5
"""Cosine from which two classes are listed."""


def alike(classes: Sequence[ClassFindings], means: np.ndarray, limit: int) -> list[SimilarClasses]:
    """Pairs of classes by the cosine of their mean maps' departures from the mean of all, the most alike first.

    Args:
        classes: Those with maps have their position in ``means``.
        means: Mean maps (classes with maps, GRID * GRID), each sums to 1.
        limit: Pairs at most.
    """
    known = [one for one in classes if one.mean is not None and one.images - one.zero_maps >= FEWEST]
    if len(known) < 3:  # of two classes, one departs just as the other does not
        return []
    own = means[[one.mean for one in known if one.mean is not None]]
    departures = own - own.mean(0)
    departures /= np.linalg.norm(departures, axis=1, keepdims=True).clip(1e-12)
    cosines = np.triu(departures @ departures.T, 1)
    first, second = np.nonzero(cosines >= ALIKE)
    order = np.argsort(-cosines[first, second], kind="stable")[:limit]
    pairs = zip(first[order].tolist(), second[order].tolist(), strict=True)
    return [
        SimilarClasses(
            first=known[one].number,
            first_name=known[one].name,
            second=known[other].number,
            second_name=known[other].name,
            similarity=float(cosines[one, other]),
        )
        for one, other in pairs
    ]
