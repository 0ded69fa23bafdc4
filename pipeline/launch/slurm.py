"""The workers of a run as an array of Slurm's, by submitit; who is done is read from the run's folder, never asked."""

import logging
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.errors import MissingExtra, UsageError
from pipeline.launch.watch import Watch
from pipeline.launch.worker_command import Launch
from pipeline.run.sizes import targets_per_image
from pipeline.store.atomic import replace
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

try:
    from submitit import SlurmExecutor
    from submitit.core.utils import DelayedSubmission, FailedJobError
except ImportError as missing:
    raise MissingExtra("slurm", "launch=slurm") from missing

log = logging.getLogger(__name__)

MINUTES = {"m": 1, "h": 60, "d": 1440}
STOPPED = 128 + signal.SIGTERM
POLL_SECONDS = 1.0
QUEUE_SECONDS = 10.0
"""Between two calls of squeue: a controller has others to serve."""
_ANSWER_SECONDS = 20.0


class SlurmJob:
    """What a job of the array does: ``python -m pipeline task=work ...``, saved and queued again when it must go.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._warned = False

    def __call__(self) -> None:
        """Works; ends with the command's exit status.

        submitit's own handler would leave at once. Here the signal that comes before a time limit or a pre-emption
        does what SIGTERM does: the chunk is ended, the rows are saved. Then submitit queues the job again.
        """
        queue_again: Any = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, self._warn)
        sys.argv = ["pipeline", *self._arguments]
        try:
            runpy.run_module("pipeline", run_name="__main__", alter_sys=False)
        except SystemExit as ended:
            if self._warned and ended.code == STOPPED:
                queue_again(signal.SIGUSR2, None)
            if ended.code:
                raise

    def _warn(self, _number: int, _frame: FrameType | None) -> None:
        self._warned = True
        signal.raise_signal(signal.SIGTERM)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit queues again."""
        return DelayedSubmission(SlurmJob(self._arguments))


def launch(launch: Launch, stop: StopRequest) -> int:
    """Submits the workers, unless a former submission is still in the queue, and follows them if it is asked for.

    Returns:
        0; of workers that were followed, 1 if they are gone and shards are missing.

    Raises:
        UsageError: This is no machine of a cluster, or Slurm refuses the job.
        Stopped: A signal came while they were followed; they go on.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("launch=slurm: there is no sbatch here; is this a machine that jobs are submitted from?")
    record = launch.job.run / "slurm" / "job"
    job = record.read_text().strip() if record.exists() else None
    if job is None or in_queue(job) is False:
        job = _submit(launch, record.parent)
        replace(f"{job}\n".encode(), record)
        log.info("job %s: %d workers for %s", job, launch.workers, launch.job.run)
    else:
        log.info("job %s is in the queue for %s already: nothing is submitted", job, launch.job.run)
    log.info(
        "squeue -j %s shows it, task=status run=%s how far it is; their logs: %s", job, launch.job.run, record.parent
    )
    return _follow(launch, job, stop) if launch.options["follow"] else 0


def _submit(launch: Launch, folder: Path) -> str:
    """Submits an array of workers; its number."""
    options = launch.options
    executor = SlurmExecutor(folder=folder.absolute(), max_num_timeout=options["requeues"])
    others = dict(option.partition("=")[::2] for option in options["options"])
    if options["memory"]:
        others["mem"] = options["memory"]
    time_limit = options["time"]
    parameters = {
        "job_name": launch.job.run.name,
        "time": int(time_limit[:-1]) * MINUTES[time_limit[-1]],
        "ntasks_per_node": 1,
        "cpus_per_task": options["cpus"],
        "srun_args": [f"--cpus-per-task={options['cpus']}"],  # Slurm 22 and later do not pass it on
        "signal_delay_s": options["warning"],
        "array_parallelism": launch.workers,
        "stderr_to_stdout": True,
        "setup": [f"export OMP_NUM_THREADS={options['cpus']}", *options["setup"]],
        "additional_parameters": {"requeue": True, **others},
    }
    parameters |= {"partition": options["partition"]} if options["partition"] else {}
    parameters |= {"gpus_per_node": options["gpus"]} if options["gpus"] else {}
    executor.update_parameters(**parameters)
    commands = [launch.command(number, finish=not options["follow"])[3:] for number in range(launch.workers)]
    try:
        jobs = executor.submit_array(list(map(SlurmJob, commands)))
    except FailedJobError as error:
        raise UsageError(f"launch=slurm: {' '.join(str(error).split())}") from error
    return str(jobs[0].job_id).partition("_")[0]


def _follow(launch: Launch, job: str, stop: StopRequest) -> int:
    """Shows how far the workers are until all is published, or none of them is in the queue any more."""
    with stop.held(), Progress(len(launch.ledger.manifest) * targets_per_image(launch.job)) as progress:
        watch, ask = Watch(launch, progress), time.monotonic()
        gone = False
        while not (watch.done or gone):
            stop.check()
            time.sleep(POLL_SECONDS)
            if time.monotonic() >= ask:
                gone, ask = in_queue(job) is False, time.monotonic() + QUEUE_SECONDS
            watch.look()
        watch.look(now=True)
        if not watch.missing:
            return 0
    shards = launch.ledger.manifest.n_shards
    log.error("pipeline: job %s is over, %d of %d shards are not published", job, watch.missing, shards)
    return 1


def in_queue(job: str) -> bool | None:
    """Whether a job waits or runs; None if Slurm does not answer, as while its controller is started again."""
    question = ["squeue", "--noheader", "--jobs", job, "--format=%T"]
    try:
        asked = subprocess.run(question, capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode == 0:
        return bool(asked.stdout.strip())
    return False if "Invalid job id" in asked.stderr else None
