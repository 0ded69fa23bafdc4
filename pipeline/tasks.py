"""What the command line can be asked to do; each task returns its exit status."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline import open_run
from pipeline.audit import check_audit_extra
from pipeline.engine.geometry import NotSpatial
from pipeline.errors import UsageError
from pipeline.export import export
from pipeline.launch import Launch, find_launcher, with_workers
from pipeline.metrics.evaluate import evaluate
from pipeline.metrics.result import FILE as RESULT
from pipeline.metrics.result import table
from pipeline.models import demo
from pipeline.report.render import render
from pipeline.report.report_page import write_report, write_report_page
from pipeline.report.run_summary import finish, finished_counts, write_derived_files
from pipeline.run.job import Job, prepare
from pipeline.run.loop import num_workers, run, start
from pipeline.run.option_ranges import check
from pipeline.run.plan import plan
from pipeline.run.provenance import run_log
from pipeline.run.resume import stored_job
from pipeline.run.worker import WorkerShards
from pipeline.store.shard_reader import ShardReader
from pipeline.store.status import status
from pipeline.store.verify import verify
from pipeline.system.configuration import Config
from pipeline.system.remote import locate
from pipeline.system.signals import StopRequest, stop_on_signals

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
        return TASKS[config["task"]["name"]](with_workers(config), choices, stop)


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
    job = prepare(config | {"device": "cpu"}, choices)  # whose weights are part of the run's identity
    with run_log(job.run):
        ledger, _ = start(job)
        if ledger.is_complete() and not config["retry_failed"]:
            log.info("%d of %d images are done, nothing is left to do", len(ledger.manifest), len(ledger.manifest))
            return _conclude(job, again=False)
        status = launcher(Launch(job, ledger, config), stop)
        return _conclude(job) if ledger.is_complete() and not status else status


def _work(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder, task = _folder(config), config["task"]
    if task["worker"] >= task["workers"]:
        raise UsageError(f"task.worker={task['worker']}: expected 0 to {task['workers'] - 1}, below task.workers")
    job = stored_job(folder, config)
    with run_log(folder, f"workers/{task['worker']:05d}.log"):
        run(job, stop, share=WorkerShards(task["worker"], task["workers"]))
        return _conclude(job, again=job.config["retry_failed"]) if task["finish"] else 0


def _conclude(job: Job, *, again: bool = True) -> int:
    """Writes what is derived from the shards, the report too; if it is there, only where it is asked for again."""
    max_failed = job.config["data"]["max_failed"]
    if not again and (known := finished_counts(job.run)):
        return _status(*known, max_failed)
    source = ShardReader(job.run)
    summary = write_derived_files(source)
    page = write_report_page(source, summary, images=job.config["report"]["images"])
    log.info("%s", page.resolve())
    return _status(summary.images, summary.failures, max_failed)


def _status(images: int, failures: int, max_failed: float) -> int:
    if failures / images <= max_failed:
        return 0
    log.error(
        "pipeline: %d of %d images failed, more than data.max_failed=%s; see failures.jsonl",
        failures,
        images,
        max_failed,
    )
    return TOO_MANY_FAILED


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
    summary = finish(_folder(config))
    return _status(summary.images, summary.failures, config["data"]["max_failed"])


def _report(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    log.info("%s", write_report(_folder(config), images=config["report"]["images"]).resolve())
    return 0


def _audit(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    check_audit_extra()
    from pipeline.audit.audit_run import audit_run, breaches

    folder, options = _folder(config), config["task"]
    job = stored_job(folder, config) if options["checks"] else None
    other = options["against"] and _folder(config | {"run": options["against"]})
    audit = audit_run(folder, job, config, stop=stop, against=other)
    found = breaches(audit, options["fail_on"])
    for breach in found:
        log.error("pipeline: %s", breach)
    return FAILED_AUDIT if found else 0


def _plant(config: Config, choices: dict[str, str], stop: StopRequest) -> int:
    """Lays the control, runs it as any other, audits it, and says what was found."""
    check_audit_extra()
    from pipeline.audit.audit_run import audit_run, sentence
    from pipeline.audit.planted import plant

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
        for found in audit_run(folder, job, config, stop=stop).classes[:3]:
            log.info("%s", sentence(found))
    return status


def _render(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder = _folder(config)
    try:
        with stop.held():
            log.info("%s", render(open_run(folder), config["task"], stop=stop).resolve())
    except NotSpatial as reason:
        raise UsageError(f"run={folder}: {reason}") from reason
    return 0


def _export(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    found, options = open_run(_folder(config)), config["task"]
    wanted = {name: options[name] for name in ("format", "folder", "limit")}
    with stop.held():
        log.info("%s", export(found, **wanted, stop=stop, num_workers=num_workers(config)).resolve())
    return 0


def _evaluate(config: Config, _choices: dict[str, str], stop: StopRequest) -> int:
    folder = _folder(config)
    job = stored_job(folder, config)
    try:
        with run_log(folder), stop.held():
            log.info("%s", table(evaluate(job, config["task"], stop=stop)))
            log.info("%s", (folder / RESULT).resolve())
    except NotSpatial as reason:
        raise UsageError(f"run={folder}: {reason}") from reason
    return 0


def _show_status(config: Config, _choices: dict[str, str], _stop: StopRequest) -> int:
    found = status(_folder(config))
    if config["task"]["json"]:
        sys.stdout.write(json.dumps(found.to_json(), indent=2) + "\n")
    else:
        log.info("%s", found)
    return 0


TASKS: dict[str, Task] = {
    "attribute": _attribute,
    "work": _work,
    "plan": _plan,
    "verify": _verify,
    "finish": _finish,
    "report": _report,
    "audit": _audit,
    "plant": _plant,
    "render": _render,
    "evaluate": _evaluate,
    "export": _export,
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
