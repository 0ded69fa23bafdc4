"""Command lines in processes of their own, forked from one that has imported everything: importing takes seconds."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.__main__ import main

TIMEOUT = 60.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pipeline.__main__", "pipeline.tasks", "tests.commands"])


@dataclass(frozen=True)
class CommandResult:
    """Result of a command line.

    Attributes:
        status: Exit status; -9 after SIGKILL.
        out: Standard output.
        err: Standard error.
        peak: Largest resident memory, kB; 0 of a process that was killed.
    """

    status: int
    out: str
    err: str
    peak: int


class Command:
    """A started ``python -m pipeline ARGUMENTS``.

    Args:
        arguments: The command line.
        folder: Where it is given.
        room: Bytes of memory that it may take above what it has when it starts.
        environment: Variables that it has besides.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        room: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._files = Path(tempfile.mkdtemp())
        given = (list(arguments), folder, self._files, room, dict(environment))
        self._process = _CONTEXT.Process(target=_perform, args=given)
        self._process.start()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = TIMEOUT) -> CommandResult:
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            raise AssertionError(f"still running after {seconds} s: {(self._files / 'err').read_text()}")
        status = self._process.exitcode
        assert status is not None
        out, err = ((self._files / name).read_text() for name in ("out", "err"))
        peak = self._files / "peak"
        return CommandResult(status, out, err, int(peak.read_text()) if peak.exists() else 0)


def command(*arguments: str, folder: Path, room: int | None = None) -> CommandResult:
    """Runs a command line in a folder, and returns its result."""
    return Command(arguments, folder, room).wait()


def _perform(arguments: list[str], folder: Path, files: Path, room: int | None, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    multiprocessing.set_start_method("fork", force=True)  # of decoding processes, as in a process of its own
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(files / name, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["pipeline", *arguments]
    if room is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, [pages * resource.getpagesize() + room] * 2)
    try:
        main()
    finally:
        (files / "peak").write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
