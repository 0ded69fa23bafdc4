"""Claim of an export's folder by export.json: the same export resumes in it, any other is refused."""

import json
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.export.run_excerpt import ROWS, Excerpt
from pipeline.store.atomic import publish, remove_orphans
from pipeline.store.object_store import is_object_path
from pipeline.store.schema import canonical_json

FILE = "export.json"
VERSION = 1
"""Of the files of an export; a folder of another version is refused."""


def claim(folder: Path, excerpt: Excerpt, format: str) -> None:
    """Claims a folder for an export, or checks that it is claimed by the same one; removes temporary files.

    Raises:
        UsageError: The folder has another export, or is in an object store.
        DiskFull: The disk is full.
    """
    if is_object_path(folder):
        raise UsageError(f"{folder}: an export needs a local folder: task.folder=PATH")
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
        stored = json.loads((folder / FILE).read_bytes())
    except ValueError as error:
        raise UsageError(f"{folder / FILE} is damaged: remove {folder}, or give another task.folder") from error
    if stored != content:
        raise UsageError(
            f"{folder} has another export, of another run, other rows or before shards changed: "
            "remove it, or give another task.folder"
        )
    for directory in (folder, *folder.glob("*/")):
        remove_orphans(directory)
