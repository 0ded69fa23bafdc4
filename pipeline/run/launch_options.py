"""Options of the group ``launch``, typed: one class for each launcher."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LaunchOptions:
    """Options of ``launch=local`` and ``launch=none``, and a part of the others'.

    Attributes:
        workers: Number of workers that share the run.
    """

    workers: int


@dataclass(frozen=True)
class ProcessesOptions(LaunchOptions):
    """Options of ``launch=processes``.

    Attributes:
        restarts: Restarts in a row of a worker that died before it had computed an image.
    """

    restarts: int


@dataclass(frozen=True)
class RayOptions(LaunchOptions):
    """Options of ``launch=ray``.

    Attributes:
        address: Of the cluster; None starts one on this machine.
        cpus: Cores for each shard in work.
        gpus: GPUs for each shard in work.
        restarts: Retries of a shard.
        timeout: Seconds after which a shard without a result is retried.
    """

    address: str | None
    cpus: int
    gpus: int
    restarts: int
    timeout: float


@dataclass(frozen=True)
class SlurmOptions(LaunchOptions):
    """Options of ``launch=slurm``.

    Attributes:
        partition: None for the cluster's default.
        time: Time limit of a worker, such as 90m, 4h or 2d.
        cpus: Cores for each worker.
        gpus: GPUs for each worker.
        memory: For each worker, such as 16G, or None.
        options: Other options of sbatch, ``name=value``.
        setup: Shell lines before the work.
        warning: Seconds between the signal to save and the time limit.
        requeues: Times that a worker is queued again.
        follow: True to wait, with a progress bar, until all is done.
    """

    partition: str | None
    time: str
    cpus: int
    gpus: int
    memory: str | None
    options: list[str]
    setup: list[str]
    warning: int
    requeues: int
    follow: bool


LAUNCH_OPTIONS: dict[str, type[LaunchOptions]] = {
    "local": LaunchOptions,
    "none": LaunchOptions,
    "processes": ProcessesOptions,
    "ray": RayOptions,
    "slurm": SlurmOptions,
}
"""By the chosen file of the group."""
