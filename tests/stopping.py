"""A request to stop that comes at a known moment."""

import signal

from pipeline.system.signals import StopRequest


class Stopping(StopRequest):
    """SIGTERM arrives at the ``at``-th check."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at

    def check(self) -> None:
        self._left -= 1
        if not self._left:
            self.receive(signal.SIGTERM, None)
        super().check()
