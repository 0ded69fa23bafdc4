"""Files of an audit: audit.json, arrays.npz, and the same findings as CSV tables."""

import io
import json
import zipfile
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from pipeline.audit.findings import VERSION, Arrays, Audit
from pipeline.audit.tables import csv_tables, without_none
from pipeline.errors import StoreError, UsageError
from pipeline.store.atomic import atomic_write
from pipeline.store.run_files import refuse_symlink
from pipeline.system.remote import to_path

AUDIT_FOLDER, JSON, ARRAYS = "audit", "audit.json", "arrays.npz"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


def write_audit(audit: Audit, run_folder: Path) -> Path:
    """Write an audit into ``audit/`` of its run's folder, audit.json last.

    Returns:
        The path of audit.json.
    """
    folder = refuse_symlink(run_folder / AUDIT_FOLDER)
    findings = {field.name: getattr(audit, field.name) for field in fields(Audit) if field.name != "arrays"}
    plain = {name: _plain(value) for name, value in findings.items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **{field.name: getattr(audit.arrays, field.name) for field in fields(Arrays)})
    atomic_write(stream.getvalue(), folder / ARRAYS)
    for name, table in csv_tables(audit).items():
        atomic_write(table, folder / f"{name}.csv")
    atomic_write(json.dumps(plain, indent=1, allow_nan=False).encode() + b"\n", folder / JSON)
    return folder / JSON


def open_audit(run: str | Path) -> Audit:
    """Open the audit in a run's folder.

    Args:
        run: The run's folder, not that of the audit in it.

    Raises:
        UsageError: The run was not audited.
        StoreError: The audit is damaged or of a newer version.
    """
    folder = (to_path(run) if isinstance(run, str) else run) / AUDIT_FOLDER
    if not (folder / JSON).is_file():
        raise UsageError(f"{run} has no audit; make one: python -m pipeline task=audit run={run}")
    try:
        stored = json.loads((folder / JSON).read_bytes())
        if stored["version"] > VERSION:
            raise StoreError(f"{folder / JSON}: expected version {VERSION} at most, found {stored['version']}: update")
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = Arrays(**{field.name: file[field.name] for field in fields(Arrays)})
        hints = get_type_hints(Audit)
        return Audit(**{name: _from_json(hints[name], value) for name, value in stored.items()}, arrays=arrays)
    except _DAMAGE as error:
        raise StoreError(f"{folder} is damaged: {error}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _from_json(kind: Any, value: Any) -> Any:
    """Convert a JSON value to its annotated type: data classes, lists and tuples of them, or None."""
    kind = without_none(kind)
    if value is None:
        return None
    if get_origin(kind) is list:
        return [_from_json(get_args(kind)[0], one) for one in value]
    if get_origin(kind) is tuple:
        return tuple(value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _from_json(hints[name], one) for name, one in value.items()})  # type: ignore[operator]
    return value
