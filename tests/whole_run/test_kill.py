"""A whole run, killed and resumed, equals an unbroken run; scripts/crash_test.py finds differences if there are any."""

import re
import sys
from pathlib import Path

import pytest

from scripts import crash_test
from tests.conftest import Status


@pytest.mark.slow
def test_a_killed_and_resumed_run_has_the_rows_of_an_unbroken_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["crash_test", "--kills", "8", "--photographs", "16"])
    with pytest.raises(SystemExit) as ended:
        crash_test.main()
    out = capsys.readouterr().out
    assert not ended.value.code, out
    assert sum(int(count) for count in re.findall(r"killed +(\d+) times at", out)) == 8


def test_differences_and_leftovers_are_found(explain: Status, tmp_path: Path) -> None:
    exact = ("dtype=float64", "store.dtype=float64", "batch_size=3")
    one, two, other, fewer = (tmp_path / name for name in ("one", "two", "other", "fewer"))
    assert explain(*exact, "method=saliency", f"output_dir={one}") == 0
    assert explain(*exact, "method=saliency", "batch_size=5", f"output_dir={two}") == 0
    assert explain(*exact, "method=input_x_gradient", f"output_dir={other}") == 0
    assert explain(*exact, "method=saliency", "data.limit=5", f"output_dir={fewer}") == 0
    assert not [*crash_test.differences(one, two), *crash_test.leftovers(one)]
    assert len([text for text in crash_test.differences(one, other) if "maps differ" in text]) == 12
    assert any("12 rows, and 5" in text for text in crash_test.differences(one, fewer))
    (one / "shards" / "000" / "0000000.rows-0-2.part").touch()
    (one / "shards" / "000" / "0000000.h5").unlink()
    assert any("not every image of the first run" in text for text in crash_test.differences(one, two))
    assert any("part is left" in text for text in crash_test.leftovers(one))
