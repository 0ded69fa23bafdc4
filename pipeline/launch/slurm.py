"""Workers of a run as a Slurm job array, by submitit. What is done is read from the run's folder, never from Slurm."""

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
from pipeline.launch.worker_command import FrozenRun
from pipeline.run.launch_options import SlurmOptions
from pipeline.run.shard_sizes import targets_per_image
from pipeline.store.atomic import atomic_write
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
"""Exit status of a worker that saved its rows after SIGTERM."""
POLL_SECONDS = 1.0
QUEUE_SECONDS = 10.0
"""Seconds between two calls of squeue: the controller serves other users too."""
_SQUEUE_TIMEOUT = 20.0


class ArrayTask:
    """A task of the array: runs ``python -m pipeline task=work ...``, and is queued again if it is interrupted.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._warned = False

    def __call__(self) -> None:
        """Runs the command, and exits with its status.

        submitit's own handler would exit at once. Here the signal before a time limit or a pre-emption acts as SIGTERM:
        the chunk is finished and the rows are saved. Then submitit queues the task again.
        """
        requeue: Any = signal.getsignal(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, self._warn)
        sys.argv = ["pipeline", *self._arguments]
        try:
            runpy.run_module("pipeline", run_name="__main__", alter_sys=False)
        except SystemExit as ended:
            if self._warned and ended.code == STOPPED:
                requeue(signal.SIGUSR2, None)
            if ended.code:
                raise

    def _warn(self, _number: int, _frame: FrameType | None) -> None:
        self._warned = True
        signal.raise_signal(signal.SIGTERM)

    def checkpoint(self) -> DelayedSubmission:
        """The task that submitit queues again."""
        return DelayedSubmission(ArrayTask(self._arguments))


def launch(frozen: FrozenRun[SlurmOptions], stop: StopRequest) -> int:
    """Submits the workers as an array, unless an earlier one is still in the queue, and follows them if requested.

    Returns:
        0; of workers that were followed, 1 if they are gone and shards are missing.

    Raises:
        UsageError: This is no machine of a cluster, or Slurm refuses the array.
        Stopped: A signal came while the workers were followed; they continue.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("launch=slurm: no sbatch here; is this a machine that jobs are submitted from?")
    run = frozen.job.run
    record = run / "slurm" / "job"
    array = record.read_text().strip() if record.exists() else None
    if array is None or in_queue(array) is False:
        array = _submit(frozen, record.parent)
        atomic_write(f"{array}\n".encode(), record)
        log.info("job %s: %d workers for %s", array, frozen.workers, run)
    else:
        log.info("job %s is in the queue for %s already: nothing is submitted", array, run)
    log.info("squeue -j %s shows the job, task=status run=%s the run; logs of workers: %s", array, run, record.parent)
    return _follow(frozen, array, stop) if frozen.launch.follow else 0


def _submit(frozen: FrozenRun[SlurmOptions], folder: Path) -> str:
    """Submits an array of workers, and returns its job number."""
    options = frozen.launch
    executor = SlurmExecutor(folder=folder.absolute(), max_num_timeout=options.requeues)
    others = dict(option.partition("=")[::2] for option in options.options)
    if options.memory:
        others["mem"] = options.memory
    parameters = {
        "job_name": frozen.job.run.name,
        "time": int(options.time[:-1]) * MINUTES[options.time[-1]],
        "ntasks_per_node": 1,
        "cpus_per_task": options.cpus,
        "srun_args": [f"--cpus-per-task={options.cpus}"],  # since Slurm 22, srun does not inherit it from sbatch
        "signal_delay_s": options.warning,
        "array_parallelism": frozen.workers,
        "stderr_to_stdout": True,
        "setup": [f"export OMP_NUM_THREADS={options.cpus}", *options.setup],
        "additional_parameters": {"requeue": True, **others},
    }
    parameters |= {"partition": options.partition} if options.partition else {}
    parameters |= {"gpus_per_node": options.gpus} if options.gpus else {}
    executor.update_parameters(**parameters)
    commands = [frozen.worker_command(number, finish=not options.follow)[3:] for number in range(frozen.workers)]
    try:
        submitted = executor.submit_array(list(map(ArrayTask, commands)))
    except FailedJobError as error:
        raise UsageError(f"launch=slurm: {' '.join(str(error).split())}") from error
    return str(submitted[0].job_id).partition("_")[0]


def _follow(frozen: FrozenRun[SlurmOptions], array: str, stop: StopRequest) -> int:
    """Shows the progress of the workers until all shards are published, or no worker is in the queue any more."""
    with stop.deferred(), Progress(len(frozen.ledger.manifest) * targets_per_image(frozen.job)) as progress:
        watch, next_check = Watch(frozen, progress), time.monotonic()
        gone = False
        while not (watch.done or gone):
            stop.check()
            time.sleep(POLL_SECONDS)
            if time.monotonic() >= next_check:
                gone, next_check = in_queue(array) is False, time.monotonic() + QUEUE_SECONDS
            watch.poll()
        watch.poll(now=True)
        if not watch.missing:
            return 0
    shards = frozen.ledger.manifest.n_shards
    log.error("pipeline: job %s is over, %d of %d shards are not published", array, watch.missing, shards)
    return 1


def in_queue(array: str) -> bool | None:
    """True if a job waits or runs; None if Slurm does not reply, such as while its controller restarts."""
    command = ["squeue", "--noheader", "--jobs", array, "--format=%T"]
    try:
        squeue = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SQUEUE_TIMEOUT)
    except subprocess.TimeoutExpired:
        return None
    if squeue.returncode == 0:
        return bool(squeue.stdout.strip())
    return False if "Invalid job id" in squeue.stderr else None
