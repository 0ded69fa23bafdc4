"""Similar classes: pairs whose mean maps differ from the mean of all classes in the same way."""

from collections.abc import Sequence

import numpy as np

from pipeline.audit.findings import ClassFindings
from pipeline.audit.image_findings import SimilarClasses

MIN_MAPS = 3
"""Maps that a class needs at least."""
MIN_SIMILARITY = 0.5
"""Cosine from which two classes are listed."""


def similar_classes(classes: Sequence[ClassFindings], means: np.ndarray, limit: int) -> list[SimilarClasses]:
    """Pairs of classes by the cosine of their mean maps' differences from the mean of all, the most similar first.

    Args:
        classes: All classes; those with maps have their position in ``means``.
        means: Mean maps (classes with maps, GRID * GRID), each sums to 1.
        limit: Pairs at most.
    """
    known = [one for one in classes if one.mean is not None and one.images - one.zero_maps >= MIN_MAPS]
    if len(known) < 3:  # the differences of two classes from their mean are opposite
        return []
    own = means[[one.mean for one in known if one.mean is not None]]
    differences = own - own.mean(0)
    differences /= np.linalg.norm(differences, axis=1, keepdims=True).clip(1e-12)
    cosines = np.triu(differences @ differences.T, 1)
    first, second = np.nonzero(cosines >= MIN_SIMILARITY)
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
