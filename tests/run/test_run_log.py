"""What is logged while a start works is in the run's folder, with the error that ended it."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import StoreError, UsageError
from pipeline.run.run_log import run_log

log = logging.getLogger("pipeline.test")


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline")


def lines(path: Path) -> list[str]:
    """The messages, without their time."""
    return [line.split(" ", 2)[-1] for line in path.read_text().splitlines()]


def test_starts_append_and_passwords_are_left_out(tmp_path: Path) -> None:
    for number in (1, 2):
        with run_log(tmp_path / "run", "workers/00003.log"):
            log.info("start %d of https://me:secret@host", number)
    log.info("outside")
    assert lines(tmp_path / "run/workers/00003.log") == [
        "INFO start 1 of https://***@host",
        "INFO start 2 of https://***@host",
    ]


@pytest.mark.parametrize("error", [UsageError("no such thing"), StoreError("damaged")])
def test_the_error_that_ended_a_start_is_its_last_line(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), run_log(tmp_path):
        raise error
    assert lines(tmp_path / "run.log") == [f"ERROR {error}"]


def test_an_unexpected_error_has_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_log(tmp_path):
        _ = 1 / 0
    text = (tmp_path / "run.log").read_text()
    assert "ended by an unexpected error" in text and "Traceback" in text and "ZeroDivisionError" in text


def test_the_log_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "run.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"output_dir=.*run\.log"), run_log(tmp_path):
        log.info("a line")
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_full_disk_does_not_end_the_work(tmp_path: Path) -> None:
    with suppress(OSError), Path("/dev/full").open("w") as full:  # at its close, for what its buffer still has
        with run_log(tmp_path):
            handler = next(one for one in logging.getLogger().handlers if type(one).__name__ == "_LogFile")
            assert isinstance(handler, logging.FileHandler)
            file, handler.stream = handler.stream, full  # type: ignore[assignment]
            log.info("a line for which there is no room")
            handler.stream = file
            log.info("a later one")
        assert lines(tmp_path / "run.log") == ["INFO a later one"]
