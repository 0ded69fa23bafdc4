"""What each start of a run is at, in a small file of its own: a sign of life, and what it died at if it did.

The file is written in place and never synced: the system keeps what a process wrote although it was killed, and a sign
of life before every batch must cost nothing. Of a machine that lost its power the last words may be lost.
"""

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from pipeline.errors import StoreError
from pipeline.store.atomic import Unwritable, is_dead, machine
from pipeline.store.background_thread import BackgroundThread
from pipeline.store.object_store import is_object, put_object
from pipeline.store.run_files import WORKERS, read_file

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0
"""After so long without a sign of life a start on another machine is taken for dead."""
_NAME = re.compile(r"(?P<machine>[^~]+)~(?P<process>\d+)~[0-9a-f]{8}\.json")


@dataclass(frozen=True)
class WorkerState:
    """What a start says of itself.

    Attributes:
        worker: Its number.
        began: When its work began, in seconds since 1970.
        images: How many it has computed.
        failed: How many of them could not be explained.
        at: Numbers of the images that it has in work at this moment.
        last: The first of those that it had in work last.
        error: What ended it, in words, if an error did.
    """

    worker: int = 0
    began: float = field(default_factory=time.time)
    images: int = 0
    failed: int = 0
    at: list[int] = field(default_factory=list)
    last: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class FoundHeartbeat:
    """A start as another process finds it.

    Attributes:
        machine: The host and, in containers, its process namespace.
        process: Its number there.
        seen: Its last sign of life, in seconds since 1970.
        alive: Whether it is at work, as far as this machine can tell.
        facts: What it says of itself.
    """

    machine: str
    process: int
    seen: float
    alive: bool
    facts: WorkerState


class Heartbeat:
    """This process, at work on a run; a context manager. Its file is gone afterwards, unless it died or met an error.

    Args:
        run: The run's folder.
        worker: Number of the worker that it is.
    """

    def __init__(self, run: Path, worker: int = 0) -> None:
        self._path = run / WORKERS / f"{machine()}~{os.getpid()}~{secrets.token_hex(4)}.json"
        self._facts = WorkerState(worker)
        self._file: int | None = None  # none of an object, which is put anew
        self._length = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Heartbeat":
        try:
            if not is_object(self._path):
                self._path.parent.mkdir(exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise Unwritable(self._path, error) from error
        self._background = BackgroundThread(self._say, HEARTBEAT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._say(error=f"{type(error).__name__}: {error}")
        self._background.close()
        if self._file is not None:
            os.close(self._file)
        if self._facts.error is None:
            self._path.unlink(missing_ok=True)

    @contextmanager
    def at(self, images: Iterable[int]) -> Iterator[None]:
        """Inside the context these images are in work: if the process dies there, it may be for one of them."""
        self._begin(images)
        try:
            yield
        finally:
            self._say(at=[])

    def begins(self, batches: Iterable[Sequence[int]]) -> Iterator[Sequence[int]]:
        """Passes batches on, each in work from the moment when it is drawn, until :meth:`at` has ended."""
        for batch in batches:
            self._begin(batch)
            yield batch

    def did(self, images: int, failed: int) -> None:
        """Counts what was computed; said with the next sign of life."""
        self._facts = replace(self._facts, images=self._facts.images + images, failed=self._facts.failed + failed)

    def _begin(self, images: Iterable[int]) -> None:
        at = list(images)
        self._say(at=at, last=at[0] if at else self._facts.last)

    def _say(self, **news: object) -> None:
        # Whoever misses a word takes this start for dead, which does no harm.
        with self._lock, suppress(OSError, StoreError):
            self._facts = replace(self._facts, **news)  # type: ignore[arg-type] # names and types are those of Facts
            text = json.dumps(asdict(self._facts)).encode().ljust(self._length)
            if self._file is None:
                put_object(text, self._path, over=True)
            else:
                os.pwrite(self._file, text, 0)
            self._length = len(text)


def heartbeats(run: Path) -> list[FoundHeartbeat]:
    """All starts of a run that are at work, died or met an error, by worker and age."""
    found = [start for name in _names(run) if (start := _read(run, name)) is not None]
    return sorted(found, key=lambda start: (start.facts.worker, start.facts.began))


def deaths(run: Path) -> list[list[int]]:
    """The images that were in work whenever a start died."""
    dead = (_read(run, name) for name in _names(run) if not _is_alive(run, name))
    return [start.facts.at for start in dead if start is not None and start.facts.at]


def remove_dead_heartbeats(run: Path) -> None:
    """Removes the files of starts that are over."""
    for name in _names(run):
        if not _is_alive(run, name):
            (run / WORKERS / name).unlink(missing_ok=True)


def _names(run: Path) -> Collection[str]:
    return [path.name for path in (run / WORKERS).glob("*.json") if _NAME.fullmatch(path.name)]


def _is_alive(run: Path, name: str) -> bool:
    match = _NAME.fullmatch(name)
    assert match is not None
    if is_dead(match["machine"], int(match["process"])):
        return False
    try:
        return time.time() - (run / WORKERS / name).stat().st_mtime < STALE_SECONDS
    except FileNotFoundError:
        return False


def _read(run: Path, name: str) -> FoundHeartbeat | None:
    """What a file says; None if it is gone, or was not finished."""
    where, process, _ = name.split("~")
    alive, path = _is_alive(run, name), run / WORKERS / name
    try:
        facts = WorkerState(**json.loads(read_file(path, run)))
        return FoundHeartbeat(where, int(process), path.stat().st_mtime, alive and facts.error is None, facts)
    except (FileNotFoundError, ValueError, TypeError):
        return None
