"""docs/gallery.md, which scripts/gallery.py writes: every method is on it, and its commands are such."""

import re
import shlex

from pipeline.system.configuration import conf_folder
from tests.conftest import Compose
from tests.documents.test_readme import ROOT

PAGE = ROOT / "docs" / "gallery.md"
TEXT = PAGE.read_text()
COMMANDS = [shlex.split(line) for line in re.findall(r"^python -m pipeline .*", TEXT, re.MULTILINE)]


def test_every_method_has_a_picture() -> None:
    shown = set(re.findall(r"^!\[(\w+)\]\(gallery/\1\.jpg\)$", TEXT, re.MULTILINE))
    assert shown == {path.stem for path in (conf_folder() / "method").glob("*.yaml")}
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", TEXT)
    assert all((PAGE.parent / link).stat().st_size < 150_000 for link in links)


def test_every_command_is_one(compose: Compose) -> None:
    for words in COMMANDS:
        config, choices = compose(*words[3:])
        assert config["method"]["_target_"].startswith("pipeline.methods.")
        assert f"method={choices['method']}" in words
    assert len(COMMANDS) > 10
