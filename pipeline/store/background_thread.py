"""A background thread that runs tasks in order, and a periodic task between them."""

import queue
import threading
import time
from collections.abc import Callable

Task = Callable[[], None]


class BackgroundThread:
    """Runs tasks in the order in which they are put; after an error it runs no more.

    Args:
        periodic: A task that runs every ``seconds``, and once more at the end.
        seconds: Above 0.
        ahead: Capacity of the queue; while it is full, :meth:`put` blocks.
    """

    def __init__(self, periodic: Task, seconds: float, ahead: int = 4) -> None:
        self._periodic = periodic
        self._seconds = seconds
        self._tasks: queue.Queue[Task | None] = queue.Queue(ahead)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def put(self, task: Task | None) -> None:
        """Add a task; None ends the thread after the tasks before it.

        Raises:
            BaseException: The error of an earlier task.
            ValueError: The thread has ended.
        """
        # A plain blocking put would wait for ever on the full queue of a thread that an error has just ended.
        while self._thread.is_alive():
            try:
                self._tasks.put(task, timeout=0.1)
            except queue.Full:
                continue
            return
        raise self._error or ValueError("the store's writer is closed")

    def close(self) -> None:
        """Wait for all tasks, then end the thread; idempotent, and raises the same error every time.

        Raises:
            BaseException: The error of a task.
        """
        if self._thread.is_alive():
            self.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._run_tasks()
        except BaseException as error:  # noqa: BLE001 - whatever it is, put() and close() raise it in the caller
            self._error = error

    def _run_tasks(self) -> None:
        due = time.monotonic() + self._seconds
        while True:
            try:
                task = self._tasks.get(timeout=max(0, due - time.monotonic()))
                if task is None:
                    break
                task()
            except queue.Empty:
                pass
            if time.monotonic() >= due:
                self._periodic()
                due = time.monotonic() + self._seconds
        self._periodic()
