"""Samples of rows are spread evenly over classes."""

import numpy as np
import pytest

from pipeline.report.sample_rows import EXAMPLES, WRONG_EXAMPLES, example_groups, spread_rows


def test_spread_takes_one_of_each_group_before_a_second() -> None:
    groups = np.array([5, 5, 5, 1, 1, 9])
    assert [spread_rows(groups, count).tolist() for count in (3, 5, 6, 100)] == [
        [0, 3, 5],
        [0, 1, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
    ]


def test_spread_over_more_groups_than_rows_wanted_is_even() -> None:
    assert spread_rows(np.repeat(np.arange(101), 3), 5).tolist() == [0, 75, 150, 225, 300]


@pytest.mark.parametrize("count", [0, 4])
def test_spread_of_nothing_is_nothing(count: int) -> None:
    assert spread_rows(np.empty(0, np.int32), count).tolist() == []


@pytest.mark.parametrize(("n_wrong", "n_correct"), [(0, 100), (3, 100), (100, 100), (100, 3), (2, 2)])
def test_examples_show_wrong_and_correct_ones_of_as_many_classes_as_there_is_room_for(
    n_wrong: int, n_correct: int
) -> None:
    label = np.arange(n_wrong + n_correct) % 10
    predicted = np.where(np.arange(len(label)) < n_wrong, label + 1, label)
    shown = {group.title: group for group in example_groups(_columns(label, predicted))}
    wrong = min(n_wrong, max(WRONG_EXAMPLES, EXAMPLES - n_correct))
    correct = min(n_correct, EXAMPLES - wrong)
    assert {title: (len(group.rows), group.total) for title, group in shown.items()} == {
        title: counts for title, counts in (("Wrong", (wrong, n_wrong)), ("Correct", (correct, n_correct))) if counts[0]
    }
    for title, group in shown.items():
        assert ((label == predicted)[group.rows] == (title == "Correct")).all()
        assert len(np.unique(label[group.rows])) == min(len(group.rows), 10, group.total)


def test_of_several_targets_an_image_is_shown_once() -> None:
    columns = _columns(np.zeros(6), np.zeros(6), index=np.array([0, 0, 0, 4, 4, 4]))
    (group,) = example_groups(columns)
    assert (group.rows.tolist(), group.total) == ([0, 3], 2)


def test_images_without_a_label_are_spread_over_the_predicted_classes() -> None:
    (group,) = example_groups(_columns(np.full(100, -1), np.repeat([0, 1], [99, 1])))
    assert group.title == "Without label" and 99 in group.rows and len(group.rows) == EXAMPLES


def _columns(label: np.ndarray, predicted: np.ndarray, index: np.ndarray | None = None) -> dict[str, np.ndarray]:
    return {"index": np.arange(len(label)) if index is None else index, "label": label, "predicted": predicted}
