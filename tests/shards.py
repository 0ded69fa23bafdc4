"""The files of a run's shards, to see which of them were written again."""

import hashlib
from pathlib import Path


def files(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of change of everything below ``shards``."""
    paths = (path for path in (folder / "shards").rglob("*") if path.is_file())
    return {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in paths}


def hashes(folder: Path) -> dict[str, str]:
    return {name: digest for name, (digest, _) in files(folder).items()}
