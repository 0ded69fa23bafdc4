"""docs/scaling.md: its tables are those of scripts/simulate.py from the measured constants."""

import json
from pathlib import Path

import numpy as np
import pytest
import simulate

ROOT = Path(__file__).parents[2]


def test_the_tables_of_the_page_are_those_of_the_script() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert page.split(simulate.BEGIN)[1].split(simulate.END)[0] == simulate.tables(
        json.loads(simulate.CONSTANTS.read_text())
    )


def test_makespans_that_can_be_computed_by_hand() -> None:
    alike = simulate.Machines(np.ones(8), np.ones(2))
    assert simulate.makespan(alike, helping=False) == (1.0, 0)
    slow = simulate.Machines(np.ones(8), np.array([1.0, 1 / 4]))  # ideal 6.4; alone the second needs 16
    assert simulate.makespan(slow, helping=False) == pytest.approx((16 / 6.4, 0))
    seconds, twice = simulate.makespan(slow, helping=True)
    assert 7 / 6.4 <= seconds <= 8 / 6.4
    assert twice >= 1
