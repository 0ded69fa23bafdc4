"""Conclusion of a run: derived files, report, and the exit status by its share of failed images."""

import logging

from pipeline.report.derived_files import finished_counts, write_derived_files
from pipeline.report.report_page import write_report_page
from pipeline.run.job import Job
from pipeline.store.shard_reader import ShardReader

log = logging.getLogger(__name__)

TOO_MANY_FAILED = 3


def conclude(job: Job, *, again: bool = True) -> int:
    """Writes the files derived from the shards, and the report.

    Args:
        job: The job, all of whose shards are published.
        again: False to leave existing files.

    Returns:
        The exit status.
    """
    max_failed = job.options.data.max_failed
    if not again and (counts := finished_counts(job.run)):
        return failure_status(*counts, max_failed)
    source = ShardReader(job.run)
    summary = write_derived_files(source)
    page = write_report_page(source, summary, images=job.options.report.images)
    log.info("%s", page.resolve())
    return failure_status(summary.images, summary.failures, max_failed)


def failure_status(images: int, failures: int, max_failed: float) -> int:
    """Exit status of a run: 0 unless the share of failed images is above ``max_failed``."""
    if failures / images <= max_failed:
        return 0
    message = "pipeline: %d of %d images failed, more than data.max_failed=%s; see failures.jsonl"
    log.error(message, failures, images, max_failed)
    return TOO_MANY_FAILED
