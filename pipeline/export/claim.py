"""Whose export a folder holds: the same command goes on in it, and another is refused."""

import json
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.export.excerpt import ROWS, Excerpt
from pipeline.store.atomic import publish, remove_orphans
from pipeline.store.object_store import is_object
from pipeline.store.schema import canonical_json

FILE = "export.json"
VERSION = 1
"""Of what is written; a folder of another one is refused."""


def claim(folder: Path, excerpt: Excerpt, format: str) -> None:
    """Makes a folder that of an export, or finds that it is.

    Raises:
        UsageError: It holds another export, or is no folder of this machine.
        DiskFull: There is no room for it.
    """
    if is_object(folder):
        raise UsageError(f"{folder}: an export needs a folder of this machine: task.folder=PATH")
    content = {
        "format": format,
        "run": excerpt.run.manifest.fingerprint,
        "version": VERSION,
        "rows": len(excerpt),
        "rows_of_a_file": ROWS,
        "content": excerpt.digest,
    }
    publish(canonical_json(content).encode(), folder / FILE)
    try:
        found = json.loads((folder / FILE).read_bytes())
    except ValueError as error:
        raise UsageError(f"{folder / FILE} is damaged: remove {folder}, or give another task.folder") from error
    if found != content:
        raise UsageError(
            f"{folder} holds another export, of another run, other rows or before shards changed: "
            "remove it, or give another task.folder"
        )
    for place in (folder, *folder.glob("*/")):
        remove_orphans(place)
