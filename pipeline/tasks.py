"""What the command line can be asked to do; each task returns its exit status."""

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline import open_run
from pipeline.audit.survey import survey
from pipeline.audit.twin import write_audit
from pipeline.configuration import Config
from pipeline.engine.geometry import NoPlaces
from pipeline.errors import UsageError
from pipeline.job import Job, prepare
from pipeline.launch import Launch, find_launcher, settled
from pipeline.plan import plan
from pipeline.ranges import check
from pipeline.record import run_log
from pipeline.remote import locate
from pipeline.render import render
from pipeline.report.page import write_page, write_report
from pipeline.report.summary import Summary, derive, finish, is_complete
from pipeline.run import run, start
from pipeline.share import Share
from pipeline.signals import StopRequest, stop_on_signals
from pipeline.status import status_line
from pipeline.store.source import Source
from pipeline.store.verify import verify
from pipeline.stored import stored_job

log = logging.getLogger(__name__)

TOO_MANY_FAILED, DAMAGED = 3, 4

Task = Callable[[Config, dict[str, str], StopRequest], int]


def perform(config: Config, choices: dict[str, str]) -> int:
    """Performs the task of a composed configuration.

    Args:
        config: The configuration as plain data.
        choices: The chosen file of each group.

    Returns:
        The exit status.

    Raises:
        UsageError: If an option's value cannot be.
    """
    check(config)
    with stop_on_signals() as stop:
        return TASKS[config["task"]["name"]](config, choices, stop)


def _attribute(config: Config, choices: dict[str, str], stop: StopRequest) -> int:
    if choices["launch"] != "local":
        return _launch(config, choices, stop)
    job = prepare(config, choices)
    with run_log(job.run):
        run(job, stop)
        return _conclude(job)


def _launch(config: Config, choices: dict[str, str], stop: StopRequest) -> int:
    """Freezes the run here, has others do the work, and judges by the run's folder alone whether it is done."""
    launcher = find_launcher(choices["launch"])
    job = prepare(settled(config), choices)
    with run_log(job.run):
        ledger, _ = start(job)
        if ledger.is_complete() and not config["retry_failed"]:
            log.info("%d of %d images are done, nothing is left to do", len(ledger.manifest), len(ledger.manifest))
            return _conclude(job)
        status = launcher(Launch(job, ledger, config), stop)
        return _conclude(job) if ledger.is_complete() and not status else status


def _work(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder, task = _folder(config), config["task"]
    if task["worker"] >= task["workers"]:
        raise UsageError(f"task.worker={task['worker']}: expected 0 to {task['workers'] - 1}, below task.workers")
    job = stored_job(folder, config)
    with run_log(folder, f"workers/{task['worker']:05d}.log"):
        run(job, stop, share=Share(task["worker"], task["workers"]))
        return _conclude(job) if task["finish"] and (job.config["retry_failed"] or not is_complete(folder)) else 0


def _conclude(job: Job) -> int:
    source = Source(job.run)
    summary = derive(source)
    page = write_page(source, summary, images=job.config["report"]["images"])
    log.info("%s", page.resolve())
    return _status(summary, job.config["data"]["max_failed"])


def _status(summary: Summary, max_failed: float) -> int:
    share = summary.failures / summary.images
    if share > max_failed:
        log.error(
            "pipeline: %d of %d images failed, more than data.max_failed=%s; see failures.jsonl",
            summary.failures,
            summary.images,
            max_failed,
        )
        return TOO_MANY_FAILED
    return 0


def _plan(config: Config, choices: dict[str, str], _stop: StopRequest) -> int:
    log.info(plan(prepare(config, choices)))
    return 0


def _verify(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder = _folder(config)
    found = verify(folder)
    log.info("%s", found)
    if found.whole:
        return 0
    if not config["task"]["repair"]:
        return DAMAGED
    job = stored_job(folder, config)
    with run_log(folder):
        run(job, stop, repair=found.damaged_shards)
        left = verify(folder)
        log.info("%s", left)
        return _conclude(job) if left.whole else DAMAGED


def _finish(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    return _status(finish(_folder(config)), config["data"]["max_failed"])


def _report(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    folder = _folder(config)
    log.info("%s", write_report(folder, images=config["report"]["images"]).resolve())
    return 0


def _audit(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    folder = _folder(config)
    log.info("%s", write_audit(survey(Source(folder)), folder).resolve())
    return 0


def _render(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder = _folder(config)
    try:
        with stop.held():
            log.info("%s", render(open_run(folder), config["task"], stop=stop).resolve())
    except NoPlaces as reason:
        raise UsageError(f"run={folder}: {reason}") from reason
    return 0


def _show_status(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    log.info(status_line(_folder(config)))
    return 0


TASKS: dict[str, Task] = {
    "attribute": _attribute,
    "work": _work,
    "plan": _plan,
    "verify": _verify,
    "finish": _finish,
    "report": _report,
    "audit": _audit,
    "render": _render,
    "status": _show_status,
}


def _folder(config: Config) -> Path:
    """The run's folder that the option ``run`` names."""
    if config["run"] is None:
        raise UsageError(f"task={config['task']['name']} needs run=PATH, the folder of a run")
    folder = locate(config["run"])
    if not folder.is_dir():
        raise UsageError(f"run={folder}: no such folder")
    return folder
