"""The workers of a run as processes of this machine; one that dies is started again, in vain so often."""

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
from pipeline.launch.worker_command import Launch
from pipeline.run.sizes import targets_per_image
from pipeline.store.heartbeat import heartbeats
from pipeline.system.progress import Progress
from pipeline.system.signals import Stopped, StopRequest

log = logging.getLogger(__name__)

FOR_GOOD = (0, 2, 3, 4)
"""Statuses after which another start would end in the same way."""
POLL_SECONDS = 0.1


class WorkerProcess:
    """A worker and the process that it is at the moment.

    Args:
        launch: The run.
        number: Of the worker.
        place: Where it works.
    """

    def __init__(self, launch: Launch, number: int, place: Placement) -> None:
        self.name = f"worker {number} of {launch.workers}"
        self.in_vain = 0  # deaths in a row before which it had computed nothing
        self._run = launch.job.run
        self._command = launch.command(number, device=place.device, finish=False)
        self._place = place
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker
        self.start()

    def start(self) -> None:
        """Begins, or begins anew."""
        self._said.seek(0)
        self._said.truncate()
        with self._place.inherited():
            self.process = subprocess.Popen(
                self._command,
                env=self._place.environment,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,  # a Ctrl-C comes to it once, from the launcher
            )

    def end(self) -> None:
        """Waits for the end of its process."""
        self.process.wait()
        self._said.close()

    @property
    def computed(self) -> bool:
        """Whether its process, which is dead, had computed an image."""
        return any(found.process == self.process.pid and found.facts.images for found in heartbeats(self._run))

    @property
    def last_words(self) -> str:
        """The last line that it said before it ended."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def launch(launch: Launch, stop: StopRequest) -> int:
    """Runs the workers until all is published, or they have ended.

    Returns:
        0 if all shards are published then; else the first worker's status that is not, 1 if none.

    Raises:
        Stopped: A signal came; the workers got it too, and have saved.
    """
    with stop.held(), Progress(len(launch.ledger.manifest) * targets_per_image(launch.job)) as progress:
        watch, statuses = Watch(launch, progress), list[int]()
        here = placements(launch.config["device"], launch.workers)
        with _ended([WorkerProcess(launch, number, place) for number, place in enumerate(here)]) as running:
            while running and not watch.done:
                for worker in list(running):
                    status = worker.process.poll()
                    if status is not None and not _start_again(worker, status, launch.options["restarts"]):
                        running.remove(worker)
                        statuses.append(status)
                watch.look()
                stop.check()
                time.sleep(POLL_SECONDS)
        watch.look(now=True)
    if not watch.missing:
        return 0
    log.error("pipeline: %d of %d shards are not published", watch.missing, launch.ledger.manifest.n_shards)
    return next((status for status in statuses if status > 0), 1)


def _start_again(worker: WorkerProcess, status: int, restarts: int) -> bool:
    """Names a worker that ended early, and starts it again; within bounds, if it computes nothing any more.

    An image that kills has several deaths until it is given up, of each worker that comes to it: as long as others are
    computed between them, they are no reason to go without the worker.
    """
    if status == 0:
        return False
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
    words = f"{worker.name} {how}" + (f" ({worker.last_words})" if status > 0 else "")
    worker.in_vain = 0 if worker.computed else worker.in_vain + 1
    if status in FOR_GOOD or worker.in_vain > restarts:
        log.error("%s; it is not started again, the others do its work", words)
        return False
    log.warning("%s; started again%s", words, f", {worker.in_vain} of {restarts} times" if worker.in_vain else "")
    worker.start()
    return True


@contextmanager
def _ended(workers: list[WorkerProcess]) -> Iterator[list[WorkerProcess]]:
    """Inside the context workers run; after it none does: a signal, or SIGTERM after an error, is passed on to them."""
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
            worker.end()
