"""Time of each stage adds up, and waiting for items is counted where they come from."""

import time
from collections.abc import Iterator

import pytest

from pipeline.run.stage_times import StageTimes


def slow_items() -> Iterator[int]:
    for item in range(3):
        time.sleep(0.02)
        yield item


def test_stages_have_their_own_time() -> None:
    times, items = StageTimes(), []
    for item in times.measure_wait("read", slow_items()):
        with times.measure("compute"):
            time.sleep(0.01)
        items.append(item)
    assert items == [0, 1, 2]
    assert times.seconds["read"] >= 0.06 and 0.03 <= times.seconds["compute"] < times.seconds["read"]
    assert times.seconds["write"] == 0 and "write 0.0 s (0%)" in str(times)


def test_a_stage_that_fails_is_counted_too() -> None:
    times = StageTimes()
    with pytest.raises(ValueError), times.measure("write"):
        time.sleep(0.01)
        raise ValueError
    assert times.seconds["write"] >= 0.01 and "write 0.0 s (100%)" in str(times)
