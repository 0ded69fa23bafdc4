"""The audit of a run: analyse, compare with another run, confirm by interventions, write."""

import logging
from pathlib import Path

from pipeline import open_run
from pipeline.audit.analyse import analyse
from pipeline.audit.audit_files import write_audit
from pipeline.audit.comparison import compare_runs
from pipeline.audit.findings import Audit
from pipeline.audit.interventions.confirm import confirm_suspects, suspect_summary
from pipeline.audit.page.audit_page import write_audit_page
from pipeline.audit.thresholds import exceeded_thresholds
from pipeline.run.job import Job
from pipeline.run.task_options import AnalysisOptions
from pipeline.store.shard_reader import ShardReader
from pipeline.system.signals import StopRequest

__all__ = ["audit_run", "exceeded_thresholds", "suspect_summary"]

log = logging.getLogger(__name__)


def audit_run(
    folder: Path,
    job: Job | None,
    options: AnalysisOptions,
    *,
    images: bool,
    stop: StopRequest,
    against: Path | None = None,
) -> Audit:
    """Audits a run and writes the findings into its folder.

    Args:
        folder: The run's.
        job: The run's; None if no region is covered.
        options: Of the task.
        images: True if the page shows photographs.
        stop: Checked before each counter-check.
        against: Folder of another run to compare with.

    Raises:
        UsageError: The run has no features, or the two runs cannot be compared.
        StoreError: Nothing is published yet, or something is damaged.
        Stopped: A signal came; nothing is written.
    """
    source = ShardReader(folder)
    with stop.deferred():
        audit = analyse(source, by_features=options.clusters == "features")
        if against is not None:
            other = ShardReader(against)
            audit = compare_runs(audit, source, analyse(other), other)
        if job is not None:
            audit = confirm_suspects(audit, open_run(folder), job, most=options.checks, stop=stop)
    write_audit(audit, folder)
    log.info("%s", write_audit_page(audit, source, images=images).resolve())
    return audit
