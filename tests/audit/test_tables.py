"""CSV tables of an audit in which everything is found."""

import csv
from pathlib import Path

from pipeline.audit.tables import csv_tables
from tests.audit.page.runs import BOX, audited


def test_nested_fields_are_columns(tmp_path: Path) -> None:
    audit, _ = audited(tmp_path)
    tables = csv_tables(audit)
    rows = list(csv.DictReader(tables["classes"].decode().splitlines()))
    assert [row["name"] for row in rows] == [one.name for one in audit.classes]
    assert rows[0]["shortcut_box"] == " ".join(map(str, BOX))
    assert rows[0]["shortcut_check_difference_accuracy_high"] == "-0.7"
    assert rows[1]["shortcut_check_difference_accuracy_high"] == ""  # None
    assert not {"rows", "clusters", "eigenvalues", "shortcut", "shortcut_check_elsewhere"} & set(rows[0])
    clusters = list(csv.DictReader(tables["clusters"].decode().splitlines()))
    assert [(row["number"], row["cluster_number"]) for row in clusters] == [("2", "0"), ("2", "1")]
    assert len(tables["comparison"].splitlines()) == 3
