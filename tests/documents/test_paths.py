"""Every path, module and link that README.md, CONTRIBUTING.md and docs/ name exists."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_A_RUN = "shards/"
PATH = re.compile(r"(?<![\w/.-])((?:pipeline|conf|scripts|tests|docs)/[\w/.*-]*\w/?)")
DOTTED = re.compile(r"(?<![\w.])(pipeline(?:\.\w+)+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    missing = [name for name in PATH.findall(text) if not (ROOT / name).exists() and not any(ROOT.glob(name))]
    assert not missing
    for name in DOTTED.findall(text):
        assert resolve_name(name) is not None if name.count(".") > 1 else import_module("pipeline")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)]+)\)", page.read_text()):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if heading else []
        slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings]
        assert not heading or heading in slugs, link
