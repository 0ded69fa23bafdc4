"""The shards of a run as tasks of a Ray cluster; Ray says what ended, the run's folder alone says what is done."""

import json
import logging
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import MissingExtra, StoreError, UsageError
from pipeline.launch.watch import Watch
from pipeline.launch.worker_command import Launch
from pipeline.run.job import Job
from pipeline.run.loop import run
from pipeline.run.provenance import run_log
from pipeline.run.resume import stored_job
from pipeline.run.sizes import targets_per_image
from pipeline.run.worker import WorkerShards
from pipeline.store.atomic import machine
from pipeline.store.schema import canonical_json
from pipeline.system.configuration import Config
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

try:
    import ray
    from ray.exceptions import RayError
except ModuleNotFoundError as error:
    raise MissingExtra("ray", "launch=ray") from error

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
SILENT_SECONDS = 10.0
"""A task whose shard has been there for so long is not waited for: a node that lost its network never answers."""


@dataclass(frozen=True)
class RayTask:
    """A task that was given out.

    Attributes:
        shard: That it computes.
        since: When that was, or when its shard was first seen published.
        published: Whether its shard is there.
    """

    shard: int
    since: float
    published: bool = False


def launch(launch: Launch, stop: StopRequest) -> int:
    """Has a cluster compute what is left.

    Returns:
        0 if all shards are published then, else 1.

    Raises:
        UsageError: A task ended so, such as for too little memory, or there is no cluster at the address.
        StoreError: A task ended so.
        Stopped: A signal came; what the tasks saved stays.
    """
    with (
        stop.held(),
        _connected(launch.options["address"]),
        Progress(len(launch.ledger.manifest) * targets_per_image(launch.job)) as progress,
    ):
        watch, tasks = Watch(launch, progress), Tasks(launch)
        while tasks.go_on():
            watch.look()
            stop.check()
        watch.look(now=True)
    if not watch.missing:
        return 0
    log.error("pipeline: %d of %d shards are not published", watch.missing, launch.ledger.manifest.n_shards)
    return 1


class Tasks:
    """The shards that are left, few at a time with the cluster, each so often at most.

    Args:
        launch: The run.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch, self._ledger, options = launch, launch.ledger, launch.options
        retry = launch.config["retry_failed"]
        self._left = deque(range(self._ledger.manifest.n_shards) if retry else self._ledger.pending())
        self._flying: dict[Any, RayTask] = {}
        self._tries = Counter[int]()
        self._most, self._patience = options["restarts"] + 1, options["timeout"]
        # Ray's own retries have no memory of what was published; and a worker keeps its network from task to task.
        self._task = ray.remote(max_retries=0, max_calls=0, num_cpus=options["cpus"], num_gpus=options["gpus"])(explain)

    def go_on(self) -> bool:
        """Gives out what there is room for, and waits a moment for what comes back; whether there is more to do."""
        while self._left and len(self._flying) < self._launch.workers:
            self._give(self._left.popleft())
        ended, _ = ray.wait(list(self._flying), timeout=POLL_SECONDS) if self._flying else ([], [])
        for task in ended:
            self._end(task, self._flying.pop(task).shard)
        for task, flight in list(self._flying.items()):
            self._look_after(task, flight)
        return bool(self._left or self._flying)

    def _give(self, shard: int) -> None:
        self._tries[shard] += 1
        folder, manifest = str(self._launch.job.run.absolute()), self._ledger.manifest
        task = self._task.remote(folder, canonical_json(self._launch.config), shard, manifest.n_shards)
        self._flying[task] = RayTask(shard, time.monotonic())

    def _end(self, task: Any, shard: int) -> None:
        """Takes a task's answer; a shard that is not there after it is given out again."""
        try:
            refusal: Exception | None = ray.get(task)
        except RayError as error:
            self._again(shard, str(error).strip().splitlines()[0])
            return
        if refusal is not None:
            raise refusal
        if not self._ledger.is_published(shard):
            self._again(shard, "it ended and its file is not there")

    def _look_after(self, task: Any, flight: RayTask) -> None:
        """Forgets a task that Ray says nothing of although its shard is there; gives up one that takes too long."""
        now = time.monotonic()
        seconds = now - flight.since
        if not flight.published and self._ledger.is_published(flight.shard) and not self._launch.config["retry_failed"]:
            self._flying[task] = replace(flight, since=now, published=True)
        elif flight.published and seconds > SILENT_SECONDS:
            del self._flying[task]
        elif not flight.published and seconds > self._patience:
            del self._flying[task]
            ray.cancel(task, force=True)
            self._again(flight.shard, f"no answer for {seconds:.0f} s")

    def _again(self, shard: int, why: str) -> None:
        if self._ledger.is_published(shard) and not self._launch.config["retry_failed"]:
            return
        if self._tries[shard] >= self._most:
            log.error("shard %d: %s; it was tried %d times and is given up", shard, why, self._most)
            return
        log.warning("shard %d: %s; given out again, %d of %d times", shard, why, self._tries[shard], self._most - 1)
        self._left.append(shard)


def explain(folder: str, config: str, shard: int, shards: int) -> Exception | None:
    """Computes a shard, in a process of the cluster.

    Returns:
        The error after which another try would end in the same way, if there was one.
    """
    try:
        with run_log(Path(folder), f"workers/ray-{machine()}-{os.getpid()}.log"):
            run(_job(folder, config), StopRequest(), share=WorkerShards(shard, shards, helps=False))
    except UsageError as error:
        return UsageError(str(error))
    except StoreError as error:
        return StoreError(str(error))  # plain ones: of others the arguments do not survive the way
    return None


@cache
def _job(folder: str, config: str) -> Job:
    """The run's job; the process keeps it for its next shard."""
    options: Config = json.loads(config)
    return stored_job(Path(folder), options)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Inside the context this process speaks for a cluster: the one at an address, or one on this machine alone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    dashboard = False if address is None else None
    try:
        ray.init(
            address=address or "local",
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"launch.address={address}: {str(error).splitlines()[0]}") from error
    for number, handler in handlers.items():  # Ray has put in its own
        signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()
