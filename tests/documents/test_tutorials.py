"""docs/tutorials.md: its Python blocks run as they stand, but with fewer points, and draw its pictures."""

import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline import methods
from tests.documents.test_readme import BLOCK, ROOT, run_python

PAGE = ROOT / "docs" / "tutorials.md"
TEXT = PAGE.read_text()
BLOCKS = [source for language, source in BLOCK.findall(TEXT) if language == "python"]
PICTURES = {Path(link).name: PAGE.parent / link for link in re.findall(r"!\[.+\]\((.+)\)", TEXT)}
FEWER_POINTS = {
    "n_steps=200": "n_steps=2",
    "n_steps=50": "n_steps=2",
    "n_steps=20)": "n_steps=2)",
    "n_samples=50": "n_samples=2",
    "n_samples=25": "n_samples=2",
    "n_masks=500": "n_masks=4",
    "strides=(3, 9, 9)": "strides=(3, 45, 45)",
    "strides=(3, 8, 8)": "strides=(3, 15, 15)",
    "strides=(3, 15, 15))(images, target),": "strides=(3, 45, 45))(images, target),",
}


@pytest.mark.slow
def test_its_blocks_draw_its_pictures(tmp_path: Path) -> None:
    source = "\n".join(BLOCKS)
    for many, few in FEWER_POINTS.items():
        assert many in source
        source = source.replace(many, few)
    run_python(source, tmp_path)
    drawn = {path.name: path for path in tmp_path.glob("*.jpg")}
    assert drawn.keys() == PICTURES.keys()
    for name, path in drawn.items():
        with Image.open(path) as new, Image.open(PICTURES[name]) as stored:
            assert new.size == stored.size


def test_every_method_is_shown() -> None:
    classes = set(methods.__all__) - {"Method", "Attribution"}
    assert {name for name in classes if not re.search(rf"\b{name}\(", TEXT)} == set()


def test_pictures_are_small() -> None:
    assert PICTURES
    assert max(path.stat().st_size for path in PICTURES.values()) < 150_000
