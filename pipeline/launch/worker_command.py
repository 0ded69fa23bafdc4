"""What is launched, and the command line of each of its workers."""

import sys
from dataclasses import dataclass
from typing import Any

from pipeline.run.job import Job
from pipeline.run.resume import OF_THE_MACHINE, runs_code
from pipeline.store.ledger import Ledger
from pipeline.system.configuration import Config


@dataclass(frozen=True)
class Launch:
    """A frozen run and how it is to be worked on.

    Attributes:
        job: The job, as who launches it has it.
        ledger: Its shards.
        config: The configuration as the command line has it, with the device that is asked for.
    """

    job: Job
    ledger: Ledger
    config: Config

    @property
    def options(self) -> Config:
        """Those of the group ``launch``."""
        options: Config = self.job.config["launch"]
        return options

    @property
    def workers(self) -> int:
        """How many there are."""
        return int(self.options["workers"])

    def command(self, worker: int, *, device: str | None = None, finish: bool = True) -> list[str]:
        """What starts a worker.

        Args:
            worker: Its number.
            device: Its device; None: the one that is asked for.
            finish: Whether it writes summary and report when it finds nothing left.
        """
        own: Config = {
            "run": str(self.job.run.absolute()),
            "task.worker": worker,
            "task.workers": self.workers,
            "task.finish": finish,
            "device": device or self.config["device"],
            "retry_failed": self.config["retry_failed"],
            **{name: self.config[name] for name in OF_THE_MACHINE},
        }
        model = self.config["model"]
        if runs_code(model):  # a worker runs only what its own command line names
            own |= {"model": self.job.config["names"]["model"]}
            own |= {f"model.{name}": value for name, value in model.items() if name != "_target_"}
        return [sys.executable, "-m", "pipeline", "task=work", *(f"{key}={quoted(own[key])}" for key in own)]


def quoted(value: Any) -> str:
    """A value as the command line reads it back."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'").replace("${", "\\${") + "'"
    return str(value).lower() if isinstance(value, bool) else str(value)
