"""SIGINT and SIGTERM as a request to stop: work that can be saved ends at its next check, all other work at once.

A second signal acts as if there were no handler, and ends the process at once.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """A signal requested to stop.

    Attributes:
        status: The exit status for it, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


class StopRequest:
    """Raises `Stopped` when a signal comes: at once, or at the next :meth:`check` while it is deferred."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside the context a signal is only remembered; :meth:`check` then raises.

        Raises:
            Stopped: A signal came before.
        """
        self.check()
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def check(self) -> None:
        """Raise if a signal came; call it wherever the work can stop.

        Raises:
            Stopped: After a signal.
        """
        if self._number is not None:
            raise Stopped(self._number)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal; the second one acts as if there were no handler.

        Raises:
            Stopped: At once, unless it is deferred.
        """
        if self._number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._number = number
        if not self._deferred:
            self.check()


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM inside the context; the handlers before it are restored at its end."""
    request = StopRequest()
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
