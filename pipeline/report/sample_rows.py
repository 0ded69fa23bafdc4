"""Samples of a run's rows, spread over its classes, where all rows are too many to show or read."""

from dataclasses import dataclass

import numpy as np

EXAMPLES = 24
WRONG_EXAMPLES = 8  # at least, where there are as many


@dataclass(frozen=True)
class ExampleGroup:
    """Rows of the gallery under one heading.

    Attributes:
        title: ``Wrong``, ``Correct`` or ``Without label``.
        rows: Sampled row numbers, ascending.
        total: Number of images that they were sampled from.
    """

    title: str
    rows: np.ndarray
    total: int


def spread_rows(groups: np.ndarray, count: int) -> np.ndarray:
    """Samples rows round-robin over groups: the first of each, then the second of each, and so on.

    Args:
        groups: Group of each row, (n,).
        count: Rows wanted. Where there are more groups than this, evenly spaced groups give one row each.

    Returns:
        Row numbers, ascending, int64 (min(count, n),).
    """
    order = np.argsort(groups, kind="stable")
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    rank = np.arange(len(groups)) - np.repeat(first, sizes)  # of each sorted row within its group
    round_robin = order[np.argsort(rank, kind="stable")]
    if len(first) > count:
        round_robin = round_robin[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return np.sort(round_robin[:count])


def example_groups(columns: dict[str, np.ndarray]) -> list[ExampleGroup]:
    """Samples the gallery's images, `EXAMPLES` at most: wrong predictions, correct ones, and images without a label.

    Args:
        columns: ``index``, ``label`` and ``predicted`` of all rows, by index; an image's first row counts.
    """
    first = np.flatnonzero(np.diff(columns["index"], prepend=-1))
    label, predicted = columns["label"][first], columns["predicted"][first]
    wrong, correct, unlabelled = (label >= 0) & (label != predicted), label == predicted, label < 0
    quotas = {
        "Wrong": (wrong, max(WRONG_EXAMPLES, EXAMPLES - correct.sum())),
        "Correct": (correct, EXAMPLES),
        "Without label": (unlabelled, EXAMPLES),
    }
    groups, left = [], EXAMPLES
    for title, (mask, quota) in quotas.items():
        rows = first[mask][spread_rows(np.where(label < 0, predicted, label)[mask], min(quota, left))]
        left -= len(rows)
        if len(rows):
            groups.append(ExampleGroup(title, rows, int(mask.sum())))
    return groups
