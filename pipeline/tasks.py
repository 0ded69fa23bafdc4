"""What the command line can be asked to do; each task returns its exit status."""

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline import open_run
from pipeline.audit import check_audit_extra
from pipeline.configuration import Config
from pipeline.engine.geometry import NoPlaces
from pipeline.errors import StoreError, UsageError
from pipeline.job import Job, prepare
from pipeline.models import demo
from pipeline.plan import plan
from pipeline.ranges import check
from pipeline.record import CONFIG, read_config, run_log
from pipeline.render import render
from pipeline.report.page import write_page, write_report
from pipeline.report.summary import Summary, derive, finish
from pipeline.run import run
from pipeline.signals import StopRequest, stop_on_signals
from pipeline.status import status_line
from pipeline.store.source import Source
from pipeline.store.verify import verify

log = logging.getLogger(__name__)

TOO_MANY_FAILED, DAMAGED, FAILED_AUDIT = 3, 4, 5

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
    job = prepare(config, choices)
    with run_log(job.run):
        run(job, stop)
        return _conclude(job)


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
    job = _stored_job(folder, config)
    with run_log(folder):
        run(job, stop, repair=found.damaged_shards)
        left = verify(folder)
        log.info("%s", left)
        return _conclude(job) if left.whole else DAMAGED


def _stored_job(folder: Path, config: Config) -> Job:
    """The job of a run's folder; code that its config.yaml names runs only if the command line names it too.

    Raises:
        UsageError: It names code that the command line does not.
        StoreError: It is damaged.
    """
    stored = read_config(folder)
    try:
        check(stored)
        if _runs_code(stored["model"]) and stored["model"] != config["model"]:
            raise UsageError(
                f"run={folder}: its config.yaml names code to run: give model=checkpoint and the options of model "
                "as in the folder's command"
            )
        return prepare({**stored, "run": None, "output_dir": str(folder)}, stored["names"])
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder / CONFIG} is damaged: {error}") from error


def _runs_code(model: Config) -> bool:
    return bool(model.get("factory")) or str(model.get("weights")).endswith(".pt2")


def _finish(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    return _status(finish(_folder(config)), config["data"]["max_failed"])


def _report(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    folder = _folder(config)
    log.info("%s", write_report(folder, images=config["report"]["images"]).resolve())
    return 0


def _audit(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    check_audit_extra()
    from pipeline.audit.command import audit_run, breaches

    folder, options = _folder(config), config["task"]
    job = _stored_job(folder, config) if options["checks"] else None
    other = options["against"] and _folder(config | {"run": options["against"]})
    found = breaches(audit_run(folder, job, stop, checks=options["checks"], against=other), options["fail_on"])
    for breach in found:
        log.error("pipeline: %s", breach)
    return FAILED_AUDIT if found else 0


def _plant(config: Config, choices: dict[str, str], stop: StopRequest) -> int:
    """Lays the control, runs it as any other, audits it, and says what was found."""
    check_audit_extra()
    from pipeline.audit.command import audit_run, sentence

    options, data = config["task"], config["data"]
    name = "planted" if options["watermark"] else "unmarked"
    folder = Path(config["output_dir"] or f"outputs/{choices['method']}-{name}").absolute()
    root, head = plant(options, data, folder, seed=config["seed"])
    transform = {**data["transform"], "resize": data["transform"]["crop"] or list(demo.PREPROCESSING.crop)}
    planted = {
        "output_dir": str(folder),
        "task": {"name": "attribute"},
        "data": {**data, "root": str(root), "transform": transform},
        "model": {**config["model"], "head": str(head)},
    }
    job = prepare({**config, **planted}, choices)
    with run_log(folder):
        run(job, stop)
        status = _conclude(job)
        for found in audit_run(folder, job, stop, checks=options["checks"]).classes[:3]:
            log.info("%s", sentence(found))
    return status


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
    "plan": _plan,
    "verify": _verify,
    "finish": _finish,
    "report": _report,
    "audit": _audit,
    "plant": _plant,
    "render": _render,
    "status": _show_status,
}


def _folder(config: Config) -> Path:
    """The run's folder that the option ``run`` names."""
    if config["run"] is None:
        raise UsageError(f"task={config['task']['name']} needs run=PATH, the folder of a run")
    folder = Path(config["run"])
    if not folder.is_dir():
        raise UsageError(f"run={folder}: no such folder")
    return folder
