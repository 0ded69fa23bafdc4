"""Example rows of an audit page: some of each class, and the first of each list."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from pipeline.audit.findings import Audit, ClassFindings

MAX_EXAMPLES = 12
"""Examples of a class at most."""
IN_CLUSTER = 6
"""Examples of a cluster at most."""
MIN_EXAMPLES = 2
"""Examples of a class at least, however many classes there are."""
LISTED = 24
"""Examples of each list of the page."""
OF_CLASS = 4
"""Examples of each list for each class."""
BUDGET = 6000
"""Examples of all classes together; those of their clusters are about as many again."""


def examples_per_class(classes: int) -> int:
    """Number of examples of each class if there are so many."""
    return max(MIN_EXAMPLES, min(MAX_EXAMPLES, BUDGET // max(classes, 1)))


def example_rows(audit: Audit) -> list[int]:
    """Rows of the run to show, each once, in the order of the page."""
    return list(dict.fromkeys(chain(_of_classes(audit.classes), _of_lists(audit))))


def _of_classes(classes: Sequence[ClassFindings]) -> Iterator[int]:
    each = examples_per_class(len(classes))
    for findings in classes:
        yield from findings.rows[:each]
        for cluster in findings.clusters:
            yield from cluster.rows[: max(MIN_EXAMPLES, min(IN_CLUSTER, each // len(findings.clusters)))]


def _of_lists(audit: Audit) -> Iterator[int]:
    for confusion in audit.confusions[:LISTED]:
        yield from confusion.rows[:OF_CLASS]
    yield from _first([(one.row, one.label) for one in audit.doubts])
    yield from _first([(one.row, one.number) for one in audit.outliers])
    yield from _first([(one.row, one.number) for one in audit.unfaithful])


def _first(listed: Sequence[tuple[int, int]]) -> Iterator[int]:
    """First rows of a list, and first rows of each class in it."""
    seen: Counter[int] = Counter()
    for position, (row, number) in enumerate(listed):
        seen[number] += 1
        if position < LISTED or seen[number] <= OF_CLASS:
            yield row


def evenly_spaced(rows: Sequence[int], count: int) -> Sequence[int]:
    """``count`` evenly spaced rows, or all if they are fewer."""
    return rows if len(rows) <= count else [rows[number * len(rows) // count] for number in range(count)]
