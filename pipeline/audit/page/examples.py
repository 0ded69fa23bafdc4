"""Which rows of an audit are shown as pictures: some of each class, more of those that should be looked at."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from pipeline.audit.findings import Audit, ClassFindings

MAX_EXAMPLES = 12
"""Of a class."""
IN_CLUSTER = 6
MIN_EXAMPLES = 2
"""Of a class, however many classes there are."""
LISTED = 24
"""Of each list of the page."""
OF_CLASS = 4
"""Of each list, for each class."""
BUDGET = 6000
"""Typical examples of all classes together; their clusters show about as many."""


def examples_per_class(classes: int) -> int:
    """Examples that each of so many classes is given."""
    return max(MIN_EXAMPLES, min(MAX_EXAMPLES, BUDGET // max(classes, 1)))


def example_rows(audit: Audit) -> list[int]:
    """Rows of the run, each once, in the order of the page."""
    return list(dict.fromkeys(chain(_of_classes(audit.classes), _of_lists(audit))))


def _of_classes(classes: Sequence[ClassFindings]) -> Iterator[int]:
    each = examples_per_class(len(classes))
    for found in classes:
        yield from found.rows[:each]
        for cluster in found.clusters:
            yield from cluster.rows[: max(MIN_EXAMPLES, min(IN_CLUSTER, each // len(found.clusters)))]


def _of_lists(audit: Audit) -> Iterator[int]:
    for confusion in audit.confusions[:LISTED]:
        yield from confusion.rows[:OF_CLASS]
    yield from _first([(one.row, one.label) for one in audit.doubts])
    yield from _first([(one.row, one.number) for one in audit.outliers])
    yield from _first([(one.row, one.number) for one in audit.unfaithful])


def _first(listed: Sequence[tuple[int, int]]) -> Iterator[int]:
    """The first rows of a list, and of each class in it."""
    seen: Counter[int] = Counter()
    for place, (row, number) in enumerate(listed):
        seen[number] += 1
        if place < LISTED or seen[number] <= OF_CLASS:
            yield row


def evenly_spaced(rows: Sequence[int], count: int) -> Sequence[int]:
    """So many of the rows, evenly, or all."""
    return rows if len(rows) <= count else [rows[place * len(rows) // count] for place in range(count)]
