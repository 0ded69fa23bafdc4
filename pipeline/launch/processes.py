"""Workers of a run as processes of this machine; a worker that dies is restarted, within limits."""

import logging
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pipeline.launch.placement import Placement, placements
from pipeline.launch.watch import Watch
from pipeline.launch.worker_command import FrozenRun
from pipeline.run.launch_options import ProcessesOptions
from pipeline.run.shard_sizes import targets_per_image
from pipeline.store.heartbeat import read_heartbeats
from pipeline.system.progress import Progress
from pipeline.system.signals import Stopped, StopRequest

log = logging.getLogger(__name__)

FINAL_STATUSES = (0, 2, 3, 4)
"""Exit statuses after which a restart would end in the same way."""
POLL_SECONDS = 0.1


class WorkerProcess:
    """A worker and its current process.

    Args:
        frozen: The run.
        number: Of the worker.
        placement: Its device and cores.
    """

    def __init__(self, frozen: FrozenRun[ProcessesOptions], number: int, placement: Placement) -> None:
        self.name = f"worker {number} of {frozen.workers}"
        self.idle_deaths = 0  # in a row, each before the process had computed an image
        self._run = frozen.job.run
        self._command = frozen.worker_command(number, device=placement.device, finish=False)
        self._placement = placement
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self.start()

    def start(self) -> None:
        """Starts, or restarts, the process."""
        self._output.seek(0)
        self._output.truncate()
        with self._placement.inherited():
            self.process = subprocess.Popen(
                self._command,
                env=self._placement.environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # Ctrl-C reaches it once, through the launcher
            )

    def wait(self) -> None:
        """Waits until the process has ended."""
        self.process.wait()
        self._output.close()

    @property
    def has_computed(self) -> bool:
        """True if the process, which is dead, had computed an image, by its heartbeat."""
        pid = self.process.pid
        return any(heartbeat.process == pid and heartbeat.state.images for heartbeat in read_heartbeats(self._run))

    @property
    def last_line(self) -> str:
        """The last line of its output."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def launch(frozen: FrozenRun[ProcessesOptions], stop: StopRequest) -> int:
    """Runs the workers until all shards are published, or all workers have ended.

    Returns:
        0 if all shards are published; else the first exit status above 0 of a worker, or 1.

    Raises:
        Stopped: A signal came; it was passed on to the workers, which have saved their rows.
    """
    with stop.deferred(), Progress(len(frozen.ledger.manifest) * targets_per_image(frozen.job)) as progress:
        watch, statuses = Watch(frozen, progress), list[int]()
        places = placements(frozen.requested.device, frozen.workers)
        with _stopped_at_exit([WorkerProcess(frozen, number, place) for number, place in enumerate(places)]) as running:
            while running and not watch.done:
                for worker in list(running):
                    status = worker.process.poll()
                    if status is not None and not _restart(worker, status, frozen.launch.restarts):
                        running.remove(worker)
                        statuses.append(status)
                watch.poll()
                stop.check()
                time.sleep(POLL_SECONDS)
        watch.poll(now=True)
    if not watch.missing:
        return 0
    log.error("pipeline: %d of %d shards are not published", watch.missing, frozen.ledger.manifest.n_shards)
    return next((status for status in statuses if status > 0), 1)


def _restart(worker: WorkerProcess, status: int, restarts: int) -> bool:
    """Restarts a worker that ended early, and returns True; not one that died ``restarts`` times without computing.

    An image that crashes workers does so several times, for each worker that takes it, until it is quarantined. Deaths
    between which other images were computed are therefore no reason to continue without the worker.
    """
    if status == 0:
        return False
    end = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
    message = f"{worker.name} {end}" + (f" ({worker.last_line})" if status > 0 else "")
    worker.idle_deaths = 0 if worker.has_computed else worker.idle_deaths + 1
    if status in FINAL_STATUSES or worker.idle_deaths > restarts:
        log.error("%s; it is not restarted, the others compute its shards", message)
        return False
    log.warning("%s; restarted%s", message, f", {worker.idle_deaths} of {restarts} times" if worker.idle_deaths else "")
    worker.start()
    return True


@contextmanager
def _stopped_at_exit(workers: list[WorkerProcess]) -> Iterator[list[WorkerProcess]]:
    """Running workers; at the exit of the context they get the signal that came, or SIGTERM, and are waited for."""
    number, running = signal.SIGTERM, list(workers)
    try:
        yield running
    except Stopped as stopped:
        number = signal.Signals(stopped.status - 128)
        raise
    finally:
        for worker in running:
            worker.process.send_signal(number)
        for worker in workers:
            worker.wait()
