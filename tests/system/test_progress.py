import logging
import re

import pytest

from pipeline.system import progress as module
from pipeline.system.progress import Progress


def test_existing_explanations_do_not_count_for_the_rate() -> None:
    with Progress(100) as progress:
        progress.add_existing(60)
        assert progress.line().startswith("60/100 explanations, 0/s, ? left")
        progress.add(20, failed=3)
        match = re.fullmatch(r"80/100 explanations, (\S+)/s, \S+ left, 3 failed", progress.line())
    assert match is not None and float(match[1]) > 0
    assert (progress.done, progress.new, progress.failed) == (80, 20, 3)


def test_a_finished_run_has_nothing_left() -> None:
    with Progress(5) as progress:
        progress.add_existing(5)
        assert progress.line() == "5/5 explanations, nothing was left to do"


def test_one_of_several_workers_reports_its_own_work() -> None:
    with Progress(100, name="worker 1 of 4: ") as progress:
        progress.add_existing(50)
        progress.add(10, failed=1)
        assert re.fullmatch(r"worker 1 of 4: 10 explanations, \S+/s, 1 failed", progress.line())


def test_without_a_terminal_it_logs_a_line_at_intervals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Progress(10) as progress:
        progress.add(1, failed=0)
        assert not caplog.messages
        monkeypatch.setattr(module, "LOG_SECONDS", 0.0)
        progress.add(1, failed=0)
    (line,) = caplog.messages
    assert line.startswith("2/10 explanations")
