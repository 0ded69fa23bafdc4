"""docs/scaling.md: its tables are what scripts/simulate.py makes of the measured constants."""

import json
from pathlib import Path

import numpy as np
import pytest
import simulate

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_prints() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert page.split(simulate.BEGIN)[1].split(simulate.END)[0] == simulate.tables(
        json.loads(simulate.CONSTANTS.read_text())
    )


def test_what_can_be_worked_out_by_hand() -> None:
    alike = simulate.Machines(np.ones(8), np.ones(2))
    assert simulate.makespan(alike, helping=False) == (1.0, 0)
    slow = simulate.Machines(np.ones(8), np.array([1.0, 1 / 4]))  # ideal 6.4; alone the second needs 16
    assert simulate.makespan(slow, helping=False) == pytest.approx((16 / 6.4, 0))
    took, doubled = simulate.makespan(slow, helping=True)
    assert 7 / 6.4 <= took <= 8 / 6.4
    assert doubled >= 1
