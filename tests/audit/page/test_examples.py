"""Example rows of the page: bounded, each once, in the order of the page."""

from pathlib import Path

import pytest

from pipeline.audit.findings import Audit
from pipeline.audit.page.examples import (
    BUDGET,
    LISTED,
    MAX_EXAMPLES,
    MIN_EXAMPLES,
    evenly_spaced,
    example_rows,
    examples_per_class,
)
from pipeline.store.shard_reader import ShardReader

from .runs import audited


@pytest.fixture
def made(tmp_path: Path) -> tuple[Audit, ShardReader]:
    return audited(tmp_path)


def test_examples_are_bounded_however_many_classes_there_are() -> None:
    assert (
        examples_per_class(10) == MAX_EXAMPLES
        and examples_per_class(10**6) == MIN_EXAMPLES
        and 1000 * examples_per_class(1000) <= BUDGET
    )
    assert evenly_spaced(range(10), 4) == [0, 2, 5, 7] and evenly_spaced([1, 2], 4) == [1, 2]


def test_rows_are_chosen_once_and_in_order(made: tuple[Audit, ShardReader]) -> None:
    audit, _ = made
    rows = example_rows(audit)
    assert sorted(rows) == sorted(set(rows)) and rows[: len(audit.classes[0].rows)] == audit.classes[0].rows
    assert {4, 12, 1} <= set(rows) and LISTED > 0
