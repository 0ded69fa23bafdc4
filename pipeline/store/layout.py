"""Where things lie in a run's folder."""

import re
from pathlib import Path

MANIFEST = "manifest.h5"
SHARDS = "shards"
_FILES_PER_FOLDER = 1000
_PART = re.compile(r"(?P<shard>\d{7,})\.rows-(?P<first>\d+)-(?P<last>\d+)\.part")


def shard_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.h5``: a published shard."""
    return run / SHARDS / f"{number // _FILES_PER_FOLDER:03d}" / f"{number:07d}.h5"


def summary_path(run: Path, number: int) -> Path:
    """``shards/NNN/SSSSSSS.json``: the sha256, counts and sums of a published shard."""
    return shard_path(run, number).with_suffix(".json")


def part_path(run: Path, number: int, first: int, last: int) -> Path:
    """``shards/NNN/SSSSSSS.rows-A-B.part``: images of A to B (inclusive) of an unfinished shard."""
    return shard_path(run, number).with_suffix(f".rows-{first}-{last}.part")


def part_paths(run: Path, number: int) -> list[Path]:
    """The parts of a shard that are there now."""
    return sorted(shard_path(run, number).parent.glob(f"{number:07d}.rows-*.part"))


def shard_of_part(path: Path) -> int | None:
    """Number of the shard that a part belongs to, or None if the name is not a part's."""
    match = _PART.fullmatch(path.name)
    return int(match["shard"]) if match else None
