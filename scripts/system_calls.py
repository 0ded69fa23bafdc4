"""The system calls that write a run's files, recorded; a process can kill itself before any of them."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

KINDS = {
    r"manifest\.h5": "manifest",
    r"config\.yaml": "config",
    r"\d{7}\.h5": "shard",
    r"\d{7}\.json": "summary of a shard",
    r"\d{7}\.rows-.*\.part": "checkpoint",
    r"failures\.jsonl|summary\.(json|csv)|index\.html": "derived file",
    r"index\.h5": "index of the shards",
    r"[^~]+~\d+~[0-9a-f]{8}\.json": "heartbeat",
    r"shards|\d{3}|report|workers": "folder",
}
"""Kinds of files, by the pattern of their names."""
BY_PATH = ("mkdir", "link", "rename", "replace", "unlink", "open")
WRITES = ("write", "pwrite")
BY_DESCRIPTOR = (*WRITES, "fsync", "close")


class SystemCalls:
    """A context in which those functions of `os` that write files are recorded, then executed.

    Args:
        record: A file that gets a line for each call, for example ``write of checkpoint``.
        kill_at: The line before whose first call this process kills itself by SIGKILL. ``half a write of ...`` comes
            after half of the bytes.
    """

    def __init__(self, record: Path | None, kill_at: str | None) -> None:
        self._record, self._kill_at = record, kill_at
        self._kind: dict[int, str] = {}  # of the open files, by descriptor
        self._real: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> "SystemCalls":
        for name in (*BY_PATH, *BY_DESCRIPTOR):
            self._real[name] = getattr(os, name)
            setattr(os, name, self._recorded(name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)

    def _recorded(self, name: str) -> Callable[..., Any]:
        def call(first: Any, *others: Any, **options: Any) -> Any:
            kind = self._kind.get(first) if name in BY_DESCRIPTOR else _kind_of(first)
            if kind is None:
                return self._real[name](first, *others, **options)
            self._reached(f"{name} of {kind}")
            if name in WRITES and f"half a {name} of {kind}" == self._kill_at:
                self._real[name](first, others[0][: len(others[0]) // 2], *others[1:])
            if name in WRITES:
                self._reached(f"half a {name} of {kind}")
            if name == "close":
                del self._kind[first]  # before another thread opens a file of the same descriptor
            result = self._real[name](first, *others, **options)
            if name == "open":
                self._kind[result] = kind
            return result

        return call

    def _reached(self, line: str) -> None:
        if line == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._record is not None:
            with self._record.open("a") as file:
                file.write(f"{line}\n")


def _kind_of(path: Any) -> str | None:
    """Kind of a file by its final or temporary name; None for files that are not a run's."""
    name = Path(os.fsdecode(path)).name if isinstance(path, str | bytes | os.PathLike) else ""
    name = name[1:].split("~")[0] if name.startswith(".") else name
    return next((kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, name)), None)
