"""Display of runs and explanations in a notebook, by IPython's own formatters."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

import pipeline
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.notebook_html import THUMBNAIL_PIXELS
from pipeline.store.schema import Rows
from pipeline.store.writer import Writer
from tests.store import synthetic


def displayed(value: object) -> dict[str, object]:
    """Each kind of display, as a kernel sends it."""
    formatter = DisplayFormatter()
    for each in formatter.formatters.values():
        each.enabled = True
    return formatter.format(value)[0]


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of five shards, whose image files do not exist; class 3 has a name with markup."""
    run = tmp_path / "run"
    names = [f"class {number}" if number != 3 else "<b>&" for number in range(synthetic.N_CLASSES)]
    manifest = freeze_manifest(run, Manifest(**{**vars(synthetic.manifest()), "class_names": names}))
    with Writer(run, manifest, attributes=synthetic.ATTRIBUTES) as writer:
        writer.add(synthetic.rows(range(50), targets=5))
    return run


def test_an_explanation_is_displayed_as_its_picture(folder: Path) -> None:
    explanation = pipeline.open_run(folder)[3]
    bundle = displayed(explanation)
    assert bundle.keys() == {"text/plain", "image/png"}
    picture = bundle["image/png"]
    content = picture if isinstance(picture, bytes) else base64.b64decode(str(picture))
    assert np.array_equal(Image.open(io.BytesIO(content)), explanation.show())


def test_a_map_without_positions_is_displayed_as_text(tmp_path: Path) -> None:
    geometry = {"kind": "units", "shape": [3, 6, 8], "layer": [48]}
    rows = synthetic.rows(range(10))
    columns = {**rows.columns, "attribution": rows.columns["attribution"].reshape(len(rows), 48)}
    manifest = freeze_manifest(tmp_path, synthetic.manifest())
    with Writer(tmp_path, manifest, attributes={**synthetic.ATTRIBUTES, "geometry": geometry}) as writer:
        writer.add(Rows(columns, rows.failures))
    run = pipeline.open_run(tmp_path)
    assert displayed(run[0]).keys() == {"text/plain"}
    assert "<img" not in str(displayed(run)["text/html"])


def test_a_run_is_displayed_as_a_table_with_thumbnails(folder: Path) -> None:
    run = pipeline.open_run(folder)
    page = str(displayed(run)["text/html"])
    cells = re.findall(r"<th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", page)
    assert dict(cells) == {
        "run": str(folder),
        "method": "ig",
        "model": "synthetic",
        "explanations": "215",
        "images of the run": "50",
        "failures": "7",
    }
    pictures = [attributes for tag, attributes in Tags(page).tags if tag == "img"]
    assert len(pictures) == 6 and pictures[0]["alt"] == f"image0000.png: {run[0].class_name}"
    content = base64.b64decode(str(pictures[0]["src"]).partition(",")[2])
    assert max(Image.open(io.BytesIO(content)).size) <= THUMBNAIL_PIXELS
    assert len(page) < 100_000


def test_names_are_text_and_never_markup(folder: Path) -> None:
    run = pipeline.open_run(folder).where(target=3)
    page = str(displayed(run)["text/html"])
    assert run[0].class_name == "<b>&" and "<b>" not in page and "&lt;b&gt;&amp;" in page
    evil = folder.rename(folder.parent / "<script>&'\"")
    page = str(displayed(pipeline.open_run(evil))["text/html"])
    assert {tag for tag, _ in Tags(page).tags} == {"div", "table", "tr", "th", "td", "img"}


def test_an_unfinished_run_shows_the_missing_shards(folder: Path) -> None:
    for path in folder.glob("shards/*/0000001.*"):
        path.unlink()
    assert ">1 of 5 shards<" in str(displayed(pipeline.open_run(folder))["text/html"])
    for path in folder.glob("shards/*/*"):
        path.unlink()
    page = str(displayed(pipeline.open_run(folder))["text/html"])
    assert ">5 of 5 shards<" in page and "method" not in page
    assert "img" not in page
