"""The page is one file that says what audit.json says, and lets nothing run but its own script."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.audit.findings import Audit
from pipeline.audit.page.audit_page import write_audit_page
from pipeline.store.shard_reader import ShardReader
from tests.conftest import Status

from .runs import CLASSES, HOSTILE, audited


@pytest.fixture
def made(tmp_path: Path) -> tuple[Audit, ShardReader]:
    return audited(tmp_path)


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_policy_allows_this_style_and_this_script_alone(made: tuple[Audit, ShardReader]) -> None:
    page = write_audit_page(*made).read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None and "unsafe" not in policy[1] and "default-src &#39;none&#39;" in policy[1]
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert " style=" not in page and " onclick" not in page


def test_it_needs_no_other_file_and_no_network(made: tuple[Audit, ShardReader]) -> None:
    page = write_audit_page(*made).read_text()
    assert not re.search(r"url\(|@import|<link|fetch\(|XMLHttp|import\(", page)
    assert set(re.findall(r"https?://[^\"\s]+", page)) == {"http://www.w3.org/2000/svg"}  # the name of a namespace


def test_names_are_never_markup(made: tuple[Audit, ShardReader]) -> None:
    page = write_audit_page(*made).read_text()
    assert HOSTILE.decode() not in page and CLASSES[1] not in page
    assert data_of(page)["classes"][2]["name"] == CLASSES[1]
    assert data_of(page)["cards"]["4"][0] == f"0/{HOSTILE.decode()}"


def test_the_data_are_the_findings(made: tuple[Audit, ShardReader]) -> None:
    audit, source = made
    data = data_of(write_audit_page(audit, source).read_text())
    assert [found["accuracy"] for found in data["classes"]] == [1.0, 0.8, 1.0]
    assert data["classes"][0]["shortcut"]["check"]["difference"]["accuracy"]["high"] == -0.7
    assert {int(row) for row in data["cards"]} == set(range(15))
    assert data["cards"]["4"][1:4] == ["tabby", "jay", False]
    assert data["alike"][0]["similarity"] == 0.9


def test_the_same_audit_gives_the_same_page(made: tuple[Audit, ShardReader]) -> None:
    assert write_audit_page(*made).read_bytes() == write_audit_page(*made).read_bytes()


def test_without_images_no_photograph_is_opened(made: tuple[Audit, ShardReader], tmp_path: Path) -> None:
    first = write_audit_page(*made, images=False).read_bytes()
    for photograph in (tmp_path / "photographs").rglob("*.png"):
        photograph.unlink()
    page = write_audit_page(*made, images=False)
    assert page.read_bytes() == first
    assert {card[5] for card in data_of(page.read_text())["cards"].values()} == {1}


def test_a_lost_photograph_leaves_the_map(made: tuple[Audit, ShardReader], tmp_path: Path) -> None:
    (tmp_path / "photographs" / "1" / "6.png").unlink()
    cards = data_of(write_audit_page(*made).read_text())["cards"]
    assert cards["6"][5] == 1 and cards["7"][5] == 3


def test_an_audit_without_places_has_a_page(made: tuple[Audit, ShardReader]) -> None:
    audit, source = made
    classes = [replace(found, mean=None, rows=[], clusters=[], shortcut=None) for found in audit.classes]
    page = write_audit_page(replace(audit, run=replace(audit.run, pooled=False), classes=classes, alike=[]), source)
    assert "belong nowhere in the image" in page.read_text() and data_of(page.read_text())["cards"] == {}


def test_the_task_writes_it(explain: Status, tmp_path: Path) -> None:
    assert explain("method=saliency", "target=label") == 0
    run = tmp_path / "run"
    assert explain("task=evaluate", f"run={run}", "task.metrics=[sparseness]", "task.resamples=20") == 0
    assert explain("task=audit", f"run={run}", "task.checks=0") == 0
    page = (run / "audit" / "index.html").read_text()
    assert len(data_of(page)["classes"]) == 3
    assert "a blob in the centre" in page and "Not measured" not in page
