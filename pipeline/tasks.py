"""Tasks of the command line; each returns its exit status."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline import open_run
from pipeline.audit import check_audit_extra
from pipeline.engine.geometry import NotSpatial
from pipeline.errors import UsageError
from pipeline.export import export
from pipeline.launch import FrozenRun, find_launcher, with_workers
from pipeline.metrics.evaluate import evaluate_run
from pipeline.metrics.evaluation_result import RESULT_FILE, result_table
from pipeline.models import demo
from pipeline.report.conclude import conclude, failure_status
from pipeline.report.derived_files import finish
from pipeline.report.render import render
from pipeline.report.report_page import write_report
from pipeline.run import task_options
from pipeline.run.job import prepare_job
from pipeline.run.loop import freeze_run, run_job
from pipeline.run.options import RunOptions
from pipeline.run.plan import plan_run
from pipeline.run.resume import stored_job
from pipeline.run.run_log import run_log
from pipeline.run.worker import WorkerShards
from pipeline.store.status import read_run_status
from pipeline.store.verify import verify
from pipeline.system.configuration import Config
from pipeline.system.remote import to_path
from pipeline.system.signals import StopRequest, stop_on_signals

log = logging.getLogger(__name__)

DAMAGED, FAILED_AUDIT = 4, 5

Options = TypeVar("Options", bound=task_options.TaskOptions)


@dataclass(frozen=True)
class Task(Generic[Options]):
    """A task of the command line.

    Attributes:
        options: Class of its options.
        perform: Performs it, and returns the exit status.
    """

    options: type[Options]
    perform: Callable[[RunOptions, Options, StopRequest], int]


def perform(config: Config, choices: dict[str, str]) -> int:
    """Performs the task of a composed configuration.

    Args:
        config: The configuration as plain data.
        choices: The chosen file of each group.

    Returns:
        The exit status.

    Raises:
        UsageError: An option's value is invalid.
    """
    options = RunOptions.from_config(with_workers(config), choices)
    task = TASKS[config["task"]["name"]]
    with stop_on_signals() as stop:
        return task.perform(options, task.options.from_node(config["task"]), stop)


def _attribute(options: RunOptions, _task: task_options.TaskOptions, stop: StopRequest) -> int:
    if not options.is_local:
        return _launch(options, stop)
    job = prepare_job(options)
    with run_log(job.run):
        run_job(job, stop)
        return conclude(job)


def _launch(options: RunOptions, stop: StopRequest) -> int:
    """Freezes the run, starts workers, and reads from the run's folder alone whether all is done."""
    launcher = find_launcher(options.names.launch)
    job = prepare_job(replace(options, device="cpu"))  # the weights are needed here, as part of the run's identity
    with run_log(job.run):
        ledger, _ = freeze_run(job)
        if ledger.is_complete() and not options.retry_failed:
            log.info("%d of %d images are done, nothing is left to do", len(ledger.manifest), len(ledger.manifest))
            return conclude(job, again=False)
        status = launcher(FrozenRun(job, ledger, options, options.launch), stop)
        return conclude(job) if ledger.is_complete() and not status else status


def _work(options: RunOptions, task: task_options.WorkOptions, stop: StopRequest) -> int:
    folder = _folder(options, task)
    if task.worker >= task.workers:
        raise UsageError(f"task.worker={task.worker}: expected 0 to {task.workers - 1}, below task.workers")
    job = stored_job(folder, options)
    with run_log(folder, f"workers/{task.worker:05d}.log"):
        run_job(job, stop, share=WorkerShards(task.worker, task.workers))
        return conclude(job, again=job.options.retry_failed) if task.finish else 0


def _plan(options: RunOptions, _task: task_options.TaskOptions, _stop: StopRequest) -> int:
    log.info(plan_run(prepare_job(options)))
    return 0


def _verify(options: RunOptions, task: task_options.VerifyOptions, stop: StopRequest) -> int:
    folder = _folder(options, task)
    before = verify(folder)
    log.info("%s", before)
    if before.is_intact:
        return 0
    if not task.repair:
        return DAMAGED
    job = stored_job(folder, options)
    with run_log(folder):
        run_job(job, stop, repair=before.damaged_shards)
        after = verify(folder)
        log.info("%s", after)
        return conclude(job) if after.is_intact else DAMAGED


def _finish(options: RunOptions, task: task_options.TaskOptions, _stop: StopRequest) -> int:
    summary = finish(_folder(options, task))
    return failure_status(summary.images, summary.failures, options.data.max_failed)


def _report(options: RunOptions, task: task_options.TaskOptions, _stop: StopRequest) -> int:
    log.info("%s", write_report(_folder(options, task), images=options.report.images).resolve())
    return 0


def _audit(options: RunOptions, task: task_options.AuditOptions, stop: StopRequest) -> int:
    check_audit_extra()
    from pipeline.audit.audit_run import audit_run, exceeded_thresholds

    folder = _folder(options, task)
    job = stored_job(folder, options) if task.checks else None
    other = _folder(replace(options, run=task.against), task) if task.against else None
    audit = audit_run(folder, job, task, images=options.report.images, stop=stop, against=other)
    exceeded = exceeded_thresholds(audit, asdict(task.fail_on))
    for line in exceeded:
        log.error("pipeline: %s", line)
    return FAILED_AUDIT if exceeded else 0


def _plant(options: RunOptions, task: task_options.PlantOptions, stop: StopRequest) -> int:
    """Writes the positive control, runs it as any other, audits it, and logs the findings."""
    check_audit_extra()
    from pipeline.audit.audit_run import audit_run, suspect_summary
    from pipeline.audit.planted_shortcut import plant

    name = "planted" if task.watermark else "unmarked"
    folder = Path(options.output_dir or f"outputs/{options.names.method}-{name}").absolute()
    root, head = plant(task, options.data, folder, seed=options.seed)
    transform = replace(options.data.transform, resize=options.data.transform.crop or list(demo.PREPROCESSING.crop))
    planted = replace(
        options,
        output_dir=str(folder),
        data=replace(options.data, root=str(root), transform=transform),
        model={**options.model, "head": str(head)},
        composed={**options.composed, "task": {"name": "attribute"}},
    )
    job = prepare_job(planted)
    with run_log(folder):
        run_job(job, stop)
        status = conclude(job)
        audit = audit_run(folder, job, task, images=options.report.images, stop=stop)
        for findings in audit.classes[:3]:
            log.info("%s", suspect_summary(findings))
    return status


def _render(options: RunOptions, task: task_options.RenderOptions, stop: StopRequest) -> int:
    folder = _folder(options, task)
    try:
        with stop.deferred():
            log.info("%s", render(open_run(folder), task, stop=stop).resolve())
    except NotSpatial as reason:
        raise UsageError(f"run={folder}: {reason}") from reason
    return 0


def _export(options: RunOptions, task: task_options.ExportOptions, stop: StopRequest) -> int:
    run_ = open_run(_folder(options, task))
    with stop.deferred():
        written = export(
            run_, task.format, folder=task.folder, limit=task.limit, stop=stop, num_workers=options.decoding_processes
        )
    log.info("%s", written.resolve())
    return 0


def _evaluate(options: RunOptions, task: task_options.EvaluateOptions, stop: StopRequest) -> int:
    folder = _folder(options, task)
    job = stored_job(folder, options)
    try:
        with run_log(folder), stop.deferred():
            log.info("%s", result_table(evaluate_run(job, task, stop=stop)))
            log.info("%s", (folder / RESULT_FILE).resolve())
    except NotSpatial as reason:
        raise UsageError(f"run={folder}: {reason}") from reason
    return 0


def _show_status(options: RunOptions, task: task_options.StatusOptions, _stop: StopRequest) -> int:
    progress = read_run_status(_folder(options, task))
    if task.json:
        sys.stdout.write(json.dumps(progress.to_json(), indent=2) + "\n")
    else:
        log.info("%s", progress)
    return 0


TASKS: dict[str, Task[Any]] = {
    "attribute": Task(task_options.TaskOptions, _attribute),
    "work": Task(task_options.WorkOptions, _work),
    "plan": Task(task_options.TaskOptions, _plan),
    "verify": Task(task_options.VerifyOptions, _verify),
    "finish": Task(task_options.TaskOptions, _finish),
    "report": Task(task_options.TaskOptions, _report),
    "audit": Task(task_options.AuditOptions, _audit),
    "plant": Task(task_options.PlantOptions, _plant),
    "render": Task(task_options.RenderOptions, _render),
    "evaluate": Task(task_options.EvaluateOptions, _evaluate),
    "export": Task(task_options.ExportOptions, _export),
    "status": Task(task_options.StatusOptions, _show_status),
}


def _folder(options: RunOptions, task: task_options.TaskOptions) -> Path:
    """The run's folder that the option ``run`` names."""
    if options.run is None:
        raise UsageError(f"task={task.name} needs run=PATH, the folder of a run")
    folder = to_path(options.run)
    if not folder.is_dir():
        raise UsageError(f"run={folder}: no such folder")
    return folder
