"""Options of metrics: numbers out of range are refused by name."""

import pytest

from pipeline.metrics.metric import positive_number, whole_number


def test_numbers_in_range_are_returned() -> None:
    assert (whole_number("steps", 3), whole_number("seed", 0, lowest=0), positive_number("radius", 2)) == (3, 0, 2.0)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True, None])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"steps must be a whole number from 1, not "):
        whole_number("steps", value)


@pytest.mark.parametrize("value", [0, -0.5, "1", True, float("nan")])
def test_what_is_not_above_0_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"radius must be a number above 0, not "):
        positive_number("radius", value)
