"""SIGINT and SIGTERM: finish the chunk, save, end; at once where nothing is to be saved. A second one ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """A signal asked to stop.

    Attributes:
        status: The exit status that says so, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


class StopRequest:
    """Ends what goes on when a signal comes; what is held goes on to a point where it can stop."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside the context a signal is remembered until :meth:`check`.

        Raises:
            Stopped: A signal came before.
        """
        self.check()
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Does nothing until a signal came.

        Raises:
            Stopped: After one came.
        """
        if self._number is not None:
            raise Stopped(self._number)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler: the second signal acts as if there were no handler.

        Raises:
            Stopped: At once, unless the request is held.
        """
        if self._number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._number = number
        if not self._held:
            self.check()


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Handles SIGINT and SIGTERM inside the context, and restores what was there after it."""
    request = StopRequest()
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
