"""Heartbeats: a small file for each process that works on a run, which shows that it is alive and what it works on.

Two things are read from them: the state of a run's workers (``task=status``), and which images were in work when a
process died (:mod:`pipeline.store.quarantine`). A heartbeat is stale after `STALE_SECONDS` without a new one.

The file is overwritten in place and never fsynced, because a heartbeat before every batch must cost nothing. The
operating system keeps what a process wrote before it was killed; only a power cut can lose the last heartbeat.
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
from pipeline.store.atomic import Unwritable
from pipeline.store.background_thread import BackgroundThread
from pipeline.store.object_store import is_object_path, put_object
from pipeline.store.run_files import WORKERS, read_run_file
from pipeline.system.process_id import is_dead, machine_id

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0
"""A process on another machine whose last heartbeat is older than this counts as dead."""
_NAME = re.compile(r"(?P<machine>[^~]+)~(?P<process>\d+)~[0-9a-f]{8}\.json")


@dataclass(frozen=True)
class WorkerState:
    """Content of a heartbeat.

    Attributes:
        worker: Number of the worker.
        began: Time when its work began, in seconds since 1970.
        images: Number of images that it has computed.
        failed: Number of these that could not be explained.
        at: Numbers of the images that are in work now.
        last: The first of the images that were in work last.
        error: The error that ended the process, as text; None if none did.
    """

    worker: int = 0
    began: float = field(default_factory=time.time)
    images: int = 0
    failed: int = 0
    at: list[int] = field(default_factory=list)
    last: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class HeartbeatRecord:
    """A heartbeat as another process reads it.

    Attributes:
        machine: The host and, in containers, its process namespace.
        process: Number of the process there.
        last_seen: Time of the last heartbeat, in seconds since 1970.
        alive: Whether the process is at work, as far as this machine can tell.
        state: Content of the heartbeat.
    """

    machine: str
    process: int
    last_seen: float
    alive: bool
    state: WorkerState


class Heartbeat:
    """Heartbeat of this process; a context manager, which removes the file at its end unless an error ended the work.

    Args:
        run: The run's folder.
        worker: Number of the worker that this process is.
    """

    def __init__(self, run: Path, worker: int = 0) -> None:
        self._path = run / WORKERS / f"{machine_id()}~{os.getpid()}~{secrets.token_hex(4)}.json"
        self._state = WorkerState(worker)
        self._file: int | None = None  # stays None in an object store, where each heartbeat is a PUT
        self._length = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Heartbeat":
        try:
            if not is_object_path(self._path):
                self._path.parent.mkdir(exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise Unwritable(self._path, error) from error
        self._background = BackgroundThread(self._write, HEARTBEAT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._write(error=f"{type(error).__name__}: {error}")
        self._background.close()
        if self._file is not None:
            os.close(self._file)
        if self._state.error is None:
            self._path.unlink(missing_ok=True)

    @contextmanager
    def in_work(self, images: Iterable[int]) -> Iterator[None]:
        """Mark images as in work inside the context; if the process dies there, one of them may be the cause."""
        self._begin(images)
        try:
            yield
        finally:
            self._write(at=[])

    def begin_batches(self, batches: Iterable[Sequence[int]]) -> Iterator[Sequence[int]]:
        """Pass batches on lazily, each marked as in work from the moment it is drawn until :meth:`in_work` ends."""
        for batch in batches:
            self._begin(batch)
            yield batch

    def count(self, images: int, failed: int) -> None:
        """Count computed images; written with the next heartbeat."""
        self._state = replace(self._state, images=self._state.images + images, failed=self._state.failed + failed)

    def _begin(self, images: Iterable[int]) -> None:
        at = list(images)
        self._write(at=at, last=at[0] if at else self._state.last)

    def _write(self, **changes: object) -> None:
        # Errors are ignored: at worst a reader takes this process for dead, and some images are computed twice.
        with self._lock, suppress(OSError, StoreError):
            self._state = replace(self._state, **changes)  # type: ignore[arg-type] # names and types of WorkerState
            text = json.dumps(asdict(self._state)).encode().ljust(self._length)  # spaces over a longer predecessor
            if self._file is None:
                put_object(text, self._path, overwrite=True)
            else:
                os.pwrite(self._file, text, 0)
            self._length = len(text)


def read_heartbeats(run: Path) -> list[HeartbeatRecord]:
    """Read the heartbeats of all processes that are at work, died or ended with an error, by worker and age."""
    records = [record for name in _names(run) if (record := _read(run, name)) is not None]
    return sorted(records, key=lambda record: (record.state.worker, record.state.began))


def images_at_deaths(run: Path) -> list[list[int]]:
    """Return, for each process that died, the images that were in work at its death."""
    dead = (_read(run, name) for name in _names(run) if not _is_alive(run, name))
    return [record.state.at for record in dead if record is not None and record.state.at]


def remove_dead_heartbeats(run: Path) -> None:
    """Remove the heartbeats of processes that have ended."""
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


def _read(run: Path, name: str) -> HeartbeatRecord | None:
    """Read one heartbeat; None if the file is gone or only half written."""
    machine, process, _ = name.split("~")
    alive, path = _is_alive(run, name), run / WORKERS / name
    try:
        state = WorkerState(**json.loads(read_run_file(path, run)))
        return HeartbeatRecord(machine, int(process), path.stat().st_mtime, alive and state.error is None, state)
    except (FileNotFoundError, ValueError, TypeError):
        return None
