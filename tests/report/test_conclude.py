"""The end of a run: derived files and report, once; the exit status by the share of failed images."""

import pytest

from pipeline.report.conclude import TOO_MANY_FAILED, conclude, failure_status
from pipeline.run.loop import run_job
from pipeline.system.signals import StopRequest
from tests.conftest import Prepare


@pytest.mark.parametrize(
    ("images", "failures", "max_failed", "status"),
    [(100, 1, 0.01, 0), (100, 2, 0.01, 3), (10, 0, 0, 0), (10, 1, 0, 3), (10, 10, 1, 0)],
)
def test_status_by_the_share_of_failures(
    images: int, failures: int, max_failed: float, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert failure_status(images, failures, max_failed) == status and TOO_MANY_FAILED == 3
    assert (f"{failures} of {images} images failed, more than data.max_failed={max_failed}" in caplog.text) == (
        status > 0
    )


def test_existing_files_are_left_unless_again(job: Prepare) -> None:
    prepared = job("method=saliency", "data.limit=2", "report.images=false")
    run_job(prepared, StopRequest())
    page = prepared.run / "report" / "index.html"
    assert conclude(prepared, again=False) == 0 and page.is_file()
    page.unlink()
    assert conclude(prepared, again=False) == 0 and not page.exists()
    assert conclude(prepared) == 0 and page.is_file()
