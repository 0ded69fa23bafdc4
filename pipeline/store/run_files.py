"""Where things lie in a run's folder."""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreError

MANIFEST = "manifest.h5"
SHARDS = "shards"
WORKERS = "workers"
_FILES_PER_FOLDER = 1000
_PART = re.compile(r"(?P<shard>\d{7,})\.rows-(?P<first>\d+)-(?P<last>\d+)\.part")


def shard_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.h5``: a published shard."""
    return _of_shard(run, number, ".h5")


def summary_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.json``: the sha256, counts and sums of a published shard."""
    return _of_shard(run, number, ".json")


def part_path(run: Path, number: int, first: int, last: int) -> Path:
    """``shards/NNN/SSSSSSS.rows-A-B.part``: images of A to B (inclusive) of an unfinished shard."""
    return _of_shard(run, number, f".rows-{first}-{last}.part")


def _of_shard(run: Path, number: int, ending: str) -> Path:
    """Made in one step: a report asks for very many."""
    return run / f"{SHARDS}/{number // _FILES_PER_FOLDER:03d}/{number:07d}{ending}"


def part_paths(run: Path, number: int) -> list[Path]:
    """The parts of a shard that are there now."""
    return sorted(shard_path(run, number).parent.glob(f"{number:07d}.rows-*.part"))


def plain_file(path: Path, run: Path) -> Path:
    """The path of a file in a run's folder, before it is opened.

    Raises:
        StoreError: It is a pipe or a device, which may never end, or a link that leads out of the folder.
        FileNotFoundError: It is not there.
    """
    with read_errors(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(f"{path} is no plain file")
        if path.is_symlink() and not path.resolve().is_relative_to(run.resolve()):
            raise StoreError(f"{path} is a link that leads out of the run's folder")
    return path


def read_file(path: Path, run: Path) -> bytes:
    """What a file in a run's folder holds.

    Raises:
        StoreError: It is no plain file, or cannot be read.
        FileNotFoundError: It is not there.
    """
    with read_errors(path):
        return plain_file(path, run).read_bytes()


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Inside the context a file is read; that it is not there stays a `FileNotFoundError`.

    Raises:
        StoreError: Permission is missing, the disk answers with an error, ...
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error


def plain_folder(path: Path) -> Path:
    """The path of a folder in a run's folder, before something in it is replaced.

    Raises:
        StoreError: It is a link: what is replaced would be elsewhere.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a link")
    return path


def shard_of_part(path: Path) -> int | None:
    """Number of the shard that a part belongs to, or None if the name is not a part's."""
    match = _PART.fullmatch(path.name)
    return int(match["shard"]) if match else None
