"""What a notebook shows, by IPython's own formatters."""

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
from pipeline.store.notebook import SIDE
from tests.conftest import Status
from tests.export.conftest import Lay


def displayed(value: object) -> dict[str, object]:
    """Each kind of display, as a kernel sends it."""
    formatter = DisplayFormatter()
    for each in formatter.formatters.values():
        each.enabled = True
    return formatter.format(value)[0]


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_an_explanation_is_its_picture(lay: Lay) -> None:
    explanation = pipeline.open_run(lay())[3]
    shown = displayed(explanation)
    assert shown.keys() == {"text/plain", "image/png"}
    picture = shown["image/png"]
    content = picture if isinstance(picture, bytes) else base64.b64decode(str(picture))
    assert np.array_equal(Image.open(io.BytesIO(content)), explanation.show())


def test_a_map_without_places_is_its_text(explain: Status, tmp_path: Path) -> None:
    assert explain("method=activation", "data.limit=1", "view=layer", "layer='5'") == 0
    run = pipeline.open_run(tmp_path / "run")
    assert displayed(run[0]).keys() == {"text/plain"}
    assert "<img" not in str(displayed(run)["text/html"])


def test_a_run_is_a_table_with_thumbnails(lay: Lay) -> None:
    run = pipeline.open_run(lay())
    page = str(displayed(run)["text/html"])
    cells = re.findall(r"<th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", page)
    assert dict(cells) == {
        "run": str(run.folder),
        "method": "ig",
        "model": "drawn",
        "explanations": "29",
        "images of the run": "30",
        "failures": "1",
    }
    pictures = [attributes for tag, attributes in Tags(page).found if tag == "img"]
    assert len(pictures) == 6 and pictures[0]["alt"] == f"0000.png: {run[0].class_name}"
    content = base64.b64decode(str(pictures[0]["src"]).partition(",")[2])
    assert max(Image.open(io.BytesIO(content)).size) <= SIDE
    assert len(page) < 100_000


def test_names_are_text_and_never_markup(lay: Lay) -> None:
    folder = lay()
    run = pipeline.open_run(folder).where(target=3)  # the class <b>&
    page = str(displayed(run)["text/html"])
    assert run[0].class_name == "<b>&" and "<b>" not in page and "&lt;b&gt;&amp;" in page
    evil = folder.rename(folder.parent / "<script>&'\"")
    page = str(displayed(pipeline.open_run(evil))["text/html"])
    assert {tag for tag, _ in Tags(page).found} == {"div", "table", "tr", "th", "td", "img"}


def test_an_unfinished_run_says_so(lay: Lay) -> None:
    folder = lay()
    for path in folder.glob("shards/*/0000001.*"):
        path.unlink()
    assert ">1 of 3 shards<" in str(displayed(pipeline.open_run(folder))["text/html"])
    for path in folder.glob("shards/*/*"):
        path.unlink()
    page = str(displayed(pipeline.open_run(folder))["text/html"])
    assert ">3 of 3 shards<" in page and "method" not in page
    assert "img" not in page


@pytest.mark.parametrize("lost", [True, False])
def test_without_photographs_there_are_the_maps(lay: Lay, lost: bool) -> None:
    run = pipeline.open_run(lay())
    if lost:
        for explanation in run:
            explanation.path.unlink()
    assert len([tag for tag, _ in Tags(str(displayed(run)["text/html"])).found if tag == "img"]) == 6
