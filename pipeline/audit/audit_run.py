"""What a command line asks of an audit: made, compared, proven, written, held against limits."""

import logging
from pathlib import Path

from pipeline import open_run
from pipeline.audit.analyse import survey
from pipeline.audit.comparison import compare
from pipeline.audit.files import write_audit
from pipeline.audit.findings import Audit
from pipeline.audit.interventions.confirm import confirm, sentence
from pipeline.audit.page.audit_page import write_page
from pipeline.audit.thresholds import breaches
from pipeline.run.job import Job
from pipeline.store.shard_reader import ShardReader
from pipeline.system.configuration import Config
from pipeline.system.signals import StopRequest

__all__ = ["audit_run", "breaches", "sentence"]

log = logging.getLogger(__name__)


def audit_run(
    folder: Path, job: Job | None, config: Config, *, stop: StopRequest, against: Path | None = None
) -> Audit:
    """Audits a run and writes what is found into its folder.

    Args:
        folder: The run's.
        job: The run's, None where no region is to be covered.
        config: Whose task says how many suspects are checked, and whose report whether the page has photographs.
        stop: Asked before each counter-check.
        against: Folder of another run to compare with.

    Raises:
        UsageError: The run has no features, or the two runs cannot be compared.
        StoreError: Nothing is published yet, or something is damaged.
        Stopped: It was asked to stop; nothing is written.
    """
    source = ShardReader(folder)
    with stop.held():
        audit = survey(source, by_features=config["task"]["clusters"] == "features")
        if against is not None:
            other = ShardReader(against)
            audit = compare(audit, source, survey(other), other)
        if job is not None:
            audit = confirm(audit, open_run(folder), job, most=config["task"]["checks"], stop=stop)
    write_audit(audit, folder)
    log.info("%s", write_page(audit, source, images=config["report"]["images"]).resolve())
    return audit
