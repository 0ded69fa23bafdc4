"""The system calls that publish files, counted; a process can end itself before any of them."""

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
    r"\d{7}\.rows-.*\.part": "part",
    r"failures\.jsonl|summary\.(json|csv)|index\.html": "what finish writes",
    r"index\.h5": "index of the shards",
    r"[^~]+~\d+~[0-9a-f]{8}\.json": "sign of life",
    r"shards|\d{3}|report|workers": "folder",
}
NAMED = ("mkdir", "link", "rename", "replace", "unlink", "open")
WRITES = ("write", "pwrite")
BY_NUMBER = (*WRITES, "fsync", "close")


class Calls:
    """A context in which the functions of `os` that publish files are noted; the real ones do the work.

    Args:
        record: A file that gets a line for each, such as ``write of a part``.
        kill_at: The line before whose first call this process ends, by SIGKILL. ``half a write of ...`` comes after
            half of the bytes.
    """

    def __init__(self, record: Path | None, kill_at: str | None) -> None:
        self._record, self._kill_at = record, kill_at
        self._kind: dict[int, str] = {}  # of what is open
        self._real: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> "Calls":
        for name in (*NAMED, *BY_NUMBER):
            self._real[name] = getattr(os, name)
            setattr(os, name, self._noted(name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)

    def _noted(self, name: str) -> Callable[..., Any]:
        def call(first: Any, *others: Any, **options: Any) -> Any:
            kind = self._kind.get(first) if name in BY_NUMBER else _kind_of(first)
            if kind is None:
                return self._real[name](first, *others, **options)
            self._reached(f"{name} of {kind}")
            if name in WRITES and f"half a {name} of {kind}" == self._kill_at:
                self._real[name](first, others[0][: len(others[0]) // 2], *others[1:])
            if name in WRITES:
                self._reached(f"half a {name} of {kind}")
            if name == "close":
                del self._kind[first]  # before another thread opens a file of the same number
            answer = self._real[name](first, *others, **options)
            if name == "open":
                self._kind[answer] = kind
            return answer

        return call

    def _reached(self, line: str) -> None:
        if line == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._record is not None:
            with self._record.open("a") as file:
                file.write(f"{line}\n")


def _kind_of(path: Any) -> str | None:
    """What a path is, temporary or not; None if it is no concern of publishing."""
    name = Path(os.fsdecode(path)).name if isinstance(path, str | bytes | os.PathLike) else ""
    name = name[1:].split("~")[0] if name.startswith(".") else name
    return next((kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, name)), None)
