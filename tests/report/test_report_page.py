"""The report page is self-contained, has the store's numbers, and escapes names."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import StoreError, UsageError
from pipeline.report.report_page import write_report
from pipeline.store.run_files import shard_path

from .conftest import HEIGHT, LABELS, WIDTH, MakeRun

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where its tags do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data

    def pictures(self, alt: str) -> list[Image.Image]:
        """The pictures whose alternative text begins with this, decoded."""
        sources = [
            attrs["src"] for tag, attrs in self.elements if tag == "img" and (attrs["alt"] or "").startswith(alt)
        ]
        return [Image.open(io.BytesIO(base64.b64decode(str(source).partition(",")[2]))) for source in sources]

    def has(self, *words: str) -> bool:
        """True if these words follow one another in the text."""
        return re.search(r"\s*".join(map(re.escape, words)), self.text) is not None


def test_the_page_needs_no_other_file(make_run: MakeRun) -> None:
    page = Page(write_report(make_run()))
    assert not re.search(r"https?:|url\(|@import|<link", page.source)
    for _, attrs in page.elements:
        assert "href" not in attrs
        assert (attrs.get("src") or "data:").startswith("data:")


def test_method_options_model_and_command_are_shown(make_run: MakeRun) -> None:
    run = make_run()
    (run / "config.yaml").write_text(
        "command: python -m pipeline n_steps=20\nmethod: {_target_: pipeline.methods.IntegratedGradients}\n"
        "git_commit: 0a1b2c3d4e5f6071\n"
    )
    page = Page(write_report(run))
    assert page.has("Integrated Gradients on TinyNet")
    assert page.has("baselines=0, n_steps=20") and page.has("python -m pipeline n_steps=20")
    assert page.has("weights sha256 0123456789ab") and page.has("commit 0a1b2c3d4e5f")
    assert page.has("resize 24, centre crop 24 × 32, bilinear")  # noqa: RUF001


def test_names_of_files_and_classes_are_text(make_run: MakeRun) -> None:
    page = Page(write_report(make_run()))
    assert page.source.count("<script") == 1 and "<b>bad" not in page.source and "<i>husky" not in page.source
    for words in ("a/<script>alert(1);.png", "a/two\\nlines.png", "b/\\xff.png", "<i>husky</i> & co", "<b>bad</b>"):
        assert words in page.text


def test_each_example_has_photograph_map_and_overlay(make_run: MakeRun) -> None:
    page = Page(write_report(make_run()))
    photographs, maps, overlays = (page.pictures(alt) for alt in ("Photograph", "Attribution map", "Map over"))
    assert (len(photographs), len(maps), len(overlays)) == (6, 7, 6)  # a photograph is gone
    assert {picture.size for picture in (*photographs, *maps, *overlays)} == {(WIDTH, HEIGHT)}
    wrong = photographs[0].getpixel((WIDTH // 2, HEIGHT // 2))  # image 2 is the only wrong one, and comes first
    np.testing.assert_allclose(wrong, (20, 100, 50), atol=6)
    assert page.has("No photograph: No such file or directory")
    assert page.has("Wrong", "1 of 1") and page.has("Correct", "6 of 6")
    assert page.has("jay", "wrong", "Labelled", "tabby", "Confidence", "50.0 %", "Score", "3")


def test_without_images_no_photograph_is_opened_or_shown(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    with_images = Page(write_report(run))
    page = Page(write_report(run, images=False))
    assert not page.pictures("Photograph") and not page.pictures("Map over") and len(page.pictures("Attribution")) == 7
    assert "a/1.png" in page.text
    for photograph in (tmp_path / "photographs").rglob("*.png"):
        photograph.unlink()
    assert Page(write_report(run, images=False)).source == page.source != with_images.source


def test_classes_are_named_and_the_worst_comes_first(make_run: MakeRun) -> None:
    page = Page(write_report(make_run()))
    table = page.text[page.text.index("Mean map\n") :]
    assert re.search(r"tabby\s+3\s+66.7 %\s+50.0 %.+husky", table, re.DOTALL)
    assert len(page.pictures("Mean map of")) == 3
    accuracies = [attrs["data-value"] for tag, attrs in page.elements if "data-value" in attrs][1::7]
    assert [float(value or "nan") for value in accuracies] == pytest.approx([2 / 3, 1, 1])


def test_an_unfinished_run_says_so(make_run: MakeRun) -> None:
    assert Page(write_report(make_run(shards=(0, 2)))).has("This run is not finished: 1 of 3 shards are missing")


def test_failures_are_listed_with_their_reason(make_run: MakeRun) -> None:
    assert Page(write_report(make_run())).has("c/broken.png", "read", "cannot be decoded: <b>bad</b>")


def test_images_without_labels_are_neither_right_nor_wrong(make_run: MakeRun) -> None:
    page = Page(write_report(make_run(labels=np.full_like(LABELS, -1))))
    assert page.has("Without label", "7 of 7") and "✓" not in page.text and "Labelled" not in page.text
    assert not any((attrs.get("class") or "").startswith("mark") for _, attrs in page.elements)


def test_the_same_run_gives_the_same_page(make_run: MakeRun) -> None:
    run = make_run()
    path = write_report(run)
    first = path.read_bytes()
    assert write_report(run).read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]


def test_a_damaged_shard_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    with shard_path(run, 1).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(StoreError, match="damaged"):
        write_report(run)


def test_a_folder_without_shards_or_manifest_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run's folder"):
        write_report(tmp_path)
    with pytest.raises(StoreError, match="no published shard yet"):
        write_report(make_run(shards=()))
