from pathlib import Path

import pytest

from tests.conftest import Status


@pytest.fixture
def run(explain: Status, tmp_path: Path) -> str:
    assert explain("method=saliency", "target=label") == 0
    return f"run={tmp_path / 'run'}"


def test_exit_status_says_that_a_limit_is_passed(explain: Status, run: str, caplog: pytest.LogCaptureFixture) -> None:
    assert explain("task=audit", run, "task.fail_on.doubted=1", "task.fail_on.failures=0") == 0
    assert explain("task=audit", run, "task.checks=0", "task.fail_on.shortcut=0.0", "task.fail_on.suspects=99") == 5
    assert "above task.fail_on.shortcut=0.0" in caplog.text and "suspects" not in caplog.text
    assert explain("task=audit", run, "task.checks=0", f"task.against={run[4:]}", "task.fail_on={shortcut:0}") == 5
