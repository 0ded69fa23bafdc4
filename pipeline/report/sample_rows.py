"""Which rows of a run are looked at, where all of them are too many: a spread over its classes."""

from dataclasses import dataclass

import numpy as np

EXAMPLES = 24
WRONG_EXAMPLES = 8  # at least, where there are as many


@dataclass(frozen=True)
class ExampleGroup:
    """Rows that are shown together.

    Attributes:
        title: ``Wrong``, ``Correct`` or ``Without label``.
        rows: Those chosen, ascending.
        total: Out of how many images.
    """

    title: str
    rows: np.ndarray
    total: int


def spread_rows(groups: np.ndarray, count: int) -> np.ndarray:
    """Rows spread over groups: the first of each, then the second of each, and so on.

    Args:
        groups: Group of each row, (n,).
        count: Rows wanted. Where there are more groups, these many are taken evenly.

    Returns:
        Row numbers, ascending, int64 (min(count, n),).
    """
    order = np.argsort(groups, kind="stable")
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    turn = np.arange(len(groups)) - np.repeat(first, sizes)
    in_turns = order[np.argsort(turn, kind="stable")]
    if len(first) > count:
        in_turns = in_turns[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return np.sort(in_turns[:count])


def examples(columns: dict[str, np.ndarray]) -> list[ExampleGroup]:
    """Images for the gallery, `EXAMPLES` at most: wrongly predicted ones, correct ones, and those without a label.

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
