"""Shards of a run as tasks of a Ray cluster. Ray tells which tasks ended; what is published is read from the folder."""

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
from pipeline.launch.worker_command import FrozenRun
from pipeline.run.job import Job
from pipeline.run.launch_options import RayOptions
from pipeline.run.loop import run_job
from pipeline.run.options import RunOptions
from pipeline.run.resume import stored_job
from pipeline.run.run_log import run_log
from pipeline.run.shard_sizes import targets_per_image
from pipeline.run.worker import WorkerShards
from pipeline.store.schema import canonical_json
from pipeline.system.configuration import Config
from pipeline.system.process_id import machine_id
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

try:
    import ray
    from ray.exceptions import RayError
except ModuleNotFoundError as error:
    raise MissingExtra("ray", "launch=ray") from error

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOST_SECONDS = 10.0
"""Time after which a running task whose shard is published is forgotten: a node that lost its network never replies."""


@dataclass(frozen=True)
class RunningShard:
    """A shard that a Ray task computes.

    Attributes:
        shard: Its number.
        since: Time when it was submitted or, if it is published, when that was first seen (monotonic, seconds).
        published: True if its file exists.
    """

    shard: int
    since: float
    published: bool = False


def launch(frozen: FrozenRun[RayOptions], stop: StopRequest) -> int:
    """Computes the pending shards on a cluster.

    Returns:
        0 if all shards are published, else 1.

    Raises:
        UsageError: A task raised it, such as for too little memory, or there is no cluster at the address.
        StoreError: A task raised it.
        Stopped: A signal came; rows that the tasks saved stay.
    """
    with (
        stop.deferred(),
        _connected(frozen.launch.address),
        Progress(len(frozen.ledger.manifest) * targets_per_image(frozen.job)) as progress,
    ):
        watch, queue = Watch(frozen, progress), ShardQueue(frozen)
        while queue.advance():
            watch.poll()
            stop.check()
        watch.poll(now=True)
    if not watch.missing:
        return 0
    log.error("pipeline: %d of %d shards are not published", watch.missing, frozen.ledger.manifest.n_shards)
    return 1


class ShardQueue:
    """Pending shards of a run, submitted as Ray tasks: a few at a time, each with a limited number of retries.

    Args:
        frozen: The run.
    """

    def __init__(self, frozen: FrozenRun[RayOptions]) -> None:
        self._frozen, self._ledger, options = frozen, frozen.ledger, frozen.launch
        self._retry_failed = frozen.requested.retry_failed
        shards = range(self._ledger.manifest.n_shards) if self._retry_failed else self._ledger.pending()
        self._pending = deque(shards)
        self._running: dict[Any, RunningShard] = {}
        self._attempts = Counter[int]()
        self._most_attempts, self._timeout = options.restarts + 1, options.timeout
        # Ray's own retries do not know what is published; and a process keeps its network from task to task.
        remote = ray.remote(max_retries=0, max_calls=0, num_cpus=options.cpus, num_gpus=options.gpus)
        self._task = remote(compute_shard)

    def advance(self) -> bool:
        """Submits shards while workers are free, waits shortly for results, and returns True while work is left."""
        while self._pending and len(self._running) < self._frozen.workers:
            self._submit(self._pending.popleft())
        ended, _ = ray.wait(list(self._running), timeout=POLL_SECONDS) if self._running else ([], [])
        for task in ended:
            self._finish(task, self._running.pop(task).shard)
        for task, running in list(self._running.items()):
            self._check_running(task, running)
        return bool(self._pending or self._running)

    def _submit(self, shard: int) -> None:
        self._attempts[shard] += 1
        folder, shards = str(self._frozen.job.run.absolute()), self._ledger.manifest.n_shards
        task = self._task.remote(folder, canonical_json(self._frozen.requested.to_config()), shard, shards)
        self._running[task] = RunningShard(shard, time.monotonic())

    def _finish(self, task: Any, shard: int) -> None:
        """Takes a task's result, and retries its shard if it is not published."""
        try:
            error: Exception | None = ray.get(task)
        except RayError as lost:
            self._retry(shard, str(lost).strip().splitlines()[0])
            return
        if error is not None:
            raise error
        if not self._ledger.is_published(shard):
            self._retry(shard, "the task ended without publishing it")

    def _check_running(self, task: Any, running: RunningShard) -> None:
        """Forgets a task without result whose shard is published; cancels and retries one that reached the timeout."""
        now = time.monotonic()
        seconds = now - running.since
        if not running.published and self._ledger.is_published(running.shard) and not self._retry_failed:
            self._running[task] = replace(running, since=now, published=True)
        elif running.published and seconds > LOST_SECONDS:
            del self._running[task]
        elif not running.published and seconds > self._timeout:
            del self._running[task]
            ray.cancel(task, force=True)
            self._retry(running.shard, f"no result after {seconds:.0f} s")

    def _retry(self, shard: int, reason: str) -> None:
        if self._ledger.is_published(shard) and not self._retry_failed:
            return
        if self._attempts[shard] >= self._most_attempts:
            log.error("shard %d: %s; it failed %d times and is not retried", shard, reason, self._most_attempts)
            return
        log.warning("shard %d: %s; retry %d of %d", shard, reason, self._attempts[shard], self._most_attempts - 1)
        self._pending.append(shard)


def compute_shard(folder: str, config: str, shard: int, shards: int) -> Exception | None:
    """Computes a shard, in a process of the cluster.

    Returns:
        The error after which a retry would end in the same way, if there was one.
    """
    try:
        with run_log(Path(folder), f"workers/ray-{machine_id()}-{os.getpid()}.log"):
            run_job(_job(folder, config), StopRequest(), share=WorkerShards(shard, shards, helps=False))
    except UsageError as error:
        return UsageError(str(error))  # of the base class: a subclass's constructor has other arguments to unpickle
    except StoreError as error:
        return StoreError(str(error))
    return None


@cache
def _job(folder: str, config: str) -> Job:
    """The run's job, cached: the process keeps its network for its next shard."""
    options: Config = json.loads(config)
    return stored_job(Path(folder), RunOptions.from_config(options, options["names"]))


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connects this process to the cluster at an address, or to a new one on this machine, inside the context."""
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
    for number, handler in handlers.items():  # Ray has installed its own
        signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()
