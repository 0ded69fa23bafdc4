"""Progress of a run: a progress bar on a terminal, a log line a minute elsewhere."""

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
"""Seconds between log lines where there is no terminal."""


class Progress:
    """Counts explanations, and reports throughput, remaining time and failures; a context manager.

    Args:
        total: Explanations of the whole run.
        name: Prefix for one worker of several: its lines then report its own work only, since others do the rest.
    """

    def __init__(self, total: int, *, name: str = "") -> None:
        self._name = name
        self.total, self.done, self.new, self.failed = total, 0, 0, 0
        self._bar = tqdm(total=total, unit=" explanations", disable=not sys.stderr.isatty(), smoothing=0.05)
        self._redirect = logging_redirect_tqdm()
        self._began = self._logged = time.monotonic()

    def __enter__(self) -> "Progress":
        self._redirect.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redirect.__exit__(kind, error, trace)
        self._bar.close()

    def add_existing(self, explanations: int) -> None:
        """Count explanations that were stored before; negative for those that will be computed again."""
        self.done += explanations
        if not self._bar.disable:
            self._bar.initial += explanations  # tqdm's rate leaves out the initial count
            self._bar.update(explanations)

    def add(self, explanations: int, failed: int) -> None:
        """Count new explanations; the failed ones are among them."""
        self.done += explanations
        self.new += explanations
        self.failed += failed
        self._bar.set_postfix(failed=self.failed, refresh=False)
        self._bar.update(explanations)
        if self._bar.disable and time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            log.info(self.line())

    def line(self) -> str:
        """Format throughput and remaining time as one line."""
        if not self.new and self.done == self.total:
            return f"{self._name}{self.done}/{self.total} explanations, nothing was left to do"
        rate = self.new / max(time.monotonic() - self._began, 1e-9)
        if self._name:
            return f"{self._name}{self.new} explanations, {rate:.3g}/s, {self.failed} failed"
        left = tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        return f"{self.done}/{self.total} explanations, {rate:.3g}/s, {left} left, {self.failed} failed"
