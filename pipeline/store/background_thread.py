"""A thread that does jobs in order, and one of its own from time to time."""

import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[], None]


class BackgroundThread:
    """Does jobs in the order in which they are put; after an error it does no more.

    Args:
        periodic: Done every ``seconds``, and once more at the end.
        seconds: Above 0.
        ahead: How many jobs may wait; then :meth:`put` does.
    """

    def __init__(self, periodic: Work, seconds: float, ahead: int = 4) -> None:
        self._periodic = periodic
        self._seconds = seconds
        self._jobs: queue.Queue[Work | None] = queue.Queue(ahead)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def put(self, job: Work | None) -> None:
        """Adds a job; None ends the thread when those before it are done.

        Raises:
            BaseException: What an earlier job raised.
            ValueError: The thread was ended.
        """
        while self._thread.is_alive():
            try:
                self._jobs.put(job, timeout=0.1)
            except queue.Full:
                continue
            return
        raise self._error or ValueError("the store's writer is closed")

    def close(self) -> None:
        """Waits until all is done; once closed, this only tells how it ended.

        Raises:
            BaseException: What a job raised.
        """
        if self._thread.is_alive():
            self.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller raises it
            self._error = error

    def _work(self) -> None:
        due = time.monotonic() + self._seconds
        while True:
            try:
                job = self._jobs.get(timeout=max(0, due - time.monotonic()))
                if job is None:
                    break
                job()
            except queue.Empty:
                pass
            if time.monotonic() >= due:
                self._periodic()
                due = time.monotonic() + self._seconds
        self._periodic()
