import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.audit import open_audit
from pipeline.audit.analyse import analyse
from pipeline.audit.audit_files import write_audit
from pipeline.errors import StoreError, UsageError
from pipeline.store.shard_reader import ShardReader
from tests.conftest import Status


@pytest.fixture
def audited(explain: Status, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    assert explain("method=saliency", "target=label") == 0
    assert explain("task=audit", "task.checks=0", f"run={folder}") == 0
    return folder


def test_what_is_read_is_what_was_found(audited: Path) -> None:
    found, read = analyse(ShardReader(audited)), open_audit(audited)
    for name, array in vars(found.arrays).items():
        np.testing.assert_array_equal(vars(read.arrays)[name], array)
    assert {**vars(read), "arrays": None} == {**vars(found), "arrays": None}
    assert write_audit(read, audited).read_bytes() == write_audit(found, audited).read_bytes()


def test_tables_have_a_line_for_each(audited: Path) -> None:
    audit = open_audit(audited)
    for name in ("classes", "doubts", "confusions"):
        lines = list(csv.DictReader((audited / "audit" / f"{name}.csv").read_text().splitlines()))
        assert len(lines) == len(getattr(audit, name)) > 0
    for name in ("clusters", "outliers", "unfaithful", "alike", "comparison"):
        assert (audited / "audit" / f"{name}.csv").read_text().count(",") >= 3  # the names, though nothing be found


def test_what_cannot_be_opened_says_why(audited: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task=audit"):
        open_audit(tmp_path)
    path = audited / "audit" / "audit.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "version": 99}))
    with pytest.raises(StoreError, match="expected version 1 at most, found 99"):
        open_audit(audited)
    path.write_text(json.dumps({**stored, "classes": [{"number": 1}]}))
    with pytest.raises(StoreError, match="damaged"):
        open_audit(audited)
    path.write_text(json.dumps(stored))
    (audited / "audit" / "arrays.npz").write_bytes(b"no archive")
    with pytest.raises(StoreError, match="damaged"):
        open_audit(audited)
