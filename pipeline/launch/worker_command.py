"""The frozen run that a launcher starts workers for, and the command line of each worker."""

import sys
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.run.job import Job
from pipeline.run.launch_options import LaunchOptions
from pipeline.run.options import RunOptions
from pipeline.run.resume import runs_code
from pipeline.store.ledger import Ledger
from pipeline.system.configuration import Config

Options = TypeVar("Options", bound=LaunchOptions, covariant=True)


@dataclass(frozen=True)
class FrozenRun(Generic[Options]):
    """A run whose manifest and config.yaml are written, ready for workers.

    Attributes:
        job: The job as the launcher has it: on the CPU.
        ledger: Its shards.
        requested: The options as the command line has them, with the device that the workers shall use.
        launch: Options of the launcher.
    """

    job: Job
    ledger: Ledger
    requested: RunOptions
    launch: Options

    @property
    def workers(self) -> int:
        """Number of workers."""
        return self.launch.workers

    def worker_command(self, worker: int, *, device: str | None = None, finish: bool = True) -> list[str]:
        """Command line that starts a worker.

        Args:
            worker: Its number.
            device: Its device; None: the requested one.
            finish: True if it writes summary and report when no work is left.
        """
        requested = self.requested
        options: Config = {
            "run": str(self.job.run.absolute()),
            "task.worker": worker,
            "task.workers": self.workers,
            "task.finish": finish,
            "device": device or requested.device,
            "retry_failed": requested.retry_failed,
            "batch_size": requested.batch_size,
            "internal_batch_size": requested.internal_batch_size,
            "num_workers": requested.num_workers,
        }
        if runs_code(requested.model):  # a worker runs only the code that its own command line names
            options |= {"model": requested.names.model}
            options |= {f"model.{name}": value for name, value in requested.model.items() if name != "_target_"}
        arguments = (f"{name}={quoted(value)}" for name, value in options.items())
        return [sys.executable, "-m", "pipeline", "task=work", *arguments]


def quoted(value: Any) -> str:
    """Quote a value for the command line, so that Hydra reads the same value back."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'").replace("${", "\\${") + "'"
    return str(value).lower() if isinstance(value, bool) else str(value)
