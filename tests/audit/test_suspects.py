"""Suspects: thresholds of their scores, and the order of the classes."""

from dataclasses import replace

import pytest

from pipeline.audit.evidence import Shortcut
from pipeline.audit.findings import ClassFindings
from pipeline.audit.suspects import MIN_SCORE, count_suspects, mark_suspects, rank_suspects

SHORTCUT = Shortcut(0.0, 0, 0, 0, 0, None, 10, (0, 0, 8, 8), 0.5, 0.1)


def shortcuts(*scores: float | None) -> list[Shortcut | None]:
    return [None if score is None else replace(SHORTCUT, score=score) for score in scores]


@pytest.mark.parametrize(
    ("scores", "suspects"),
    [
        ((0.3, 0.02, 0.03, 0.02), [True, False, False, False]),
        ((0.3, 0.2, 0.2), [False, False, False]),  # three times the median of the others
        ((0.61, 0.2, 0.2), [True, False, False]),
        ((MIN_SCORE - 0.001, 0.0, 0.0), [False, False, False]),
        ((0.3, None, 0.02), [True, None, False]),
        ((MIN_SCORE,), [True]),  # no others
    ],
)
def test_a_suspect_has_an_outlying_score(scores: tuple[float | None, ...], suspects: list[bool | None]) -> None:
    assert [one and one.suspect for one in mark_suspects(shortcuts(*scores))] == suspects


def test_suspects_come_first_by_score_and_the_others_by_number() -> None:
    classes = [
        ClassFindings(number, f"class {number}", 10, 0, None, None, None, shortcut=shortcut)
        for number, shortcut in enumerate(shortcuts(0.02, 0.3, 0.04, 0.5, None, 0.03, 0.02))
    ]
    ranked = rank_suspects(classes)
    assert [one.number for one in ranked] == [3, 1, 0, 2, 4, 5, 6]
    assert count_suspects(ranked) == 2
    assert rank_suspects(ranked) == ranked
