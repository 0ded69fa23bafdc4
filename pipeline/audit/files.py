"""An audit on disk: audit.json, arrays.npz, and tables for whoever has no Python."""

import io
import json
import zipfile
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from pipeline.audit.findings import VERSION, Arrays, Audit
from pipeline.audit.tables import inner, tables
from pipeline.errors import StoreError, UsageError
from pipeline.store.atomic import replace
from pipeline.store.run_files import plain_folder
from pipeline.system.remote import locate

FOLDER, JSON, ARRAYS = "audit", "audit.json", "arrays.npz"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


def write_audit(audit: Audit, run_folder: Path) -> Path:
    """Writes an audit into ``audit/`` of its run's folder.

    Returns:
        The path of audit.json.
    """
    folder = plain_folder(run_folder / FOLDER)
    told = {field.name: getattr(audit, field.name) for field in fields(Audit) if field.name != "arrays"}
    plain = {name: _plain(value) for name, value in told.items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **{field.name: getattr(audit.arrays, field.name) for field in fields(Arrays)})
    replace(stream.getvalue(), folder / ARRAYS)
    for name, table in tables(audit).items():
        replace(table, folder / f"{name}.csv")
    replace(json.dumps(plain, indent=1, allow_nan=False).encode() + b"\n", folder / JSON)
    return folder / JSON


def open_audit(run: str | Path) -> Audit:
    """Opens the audit of a run's folder.

    Args:
        run: The run's folder, not that of the audit in it.

    Raises:
        UsageError: The run was not audited.
        StoreError: The audit is damaged or of a newer version.
    """
    folder = (locate(run) if isinstance(run, str) else run) / FOLDER
    if not (folder / JSON).is_file():
        raise UsageError(f"{run} has no audit: python -m pipeline task=audit run={run}")
    try:
        told = json.loads((folder / JSON).read_bytes())
        if told["version"] > VERSION:
            raise StoreError(f"{folder / JSON} has version {told['version']}, this project reads up to {VERSION}")
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = Arrays(**{field.name: stored[field.name] for field in fields(Arrays)})
        hints = get_type_hints(Audit)
        return Audit(**{name: _read(hints[name], value) for name, value in told.items()}, arrays=arrays)
    except _DAMAGE as error:
        raise StoreError(f"{folder} is damaged: {error}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _read(kind: Any, value: Any) -> Any:
    """A value of JSON as what its annotation says: data classes, lists and tuples of them, or None."""
    kind = inner(kind)
    if value is None:
        return None
    if get_origin(kind) is list:
        return [_read(get_args(kind)[0], one) for one in value]
    if get_origin(kind) is tuple:
        return tuple(value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], one) for name, one in value.items()})  # type: ignore[operator]
    return value
