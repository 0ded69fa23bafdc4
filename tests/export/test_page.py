"""docs/export.md: its commands and its Python run as they stand, on a small run, with a small network."""

import shlex
from pathlib import Path

import pytest

from pipeline.tasks import perform
from tests.conftest import Compose, Status
from tests.documents.test_readme import BLOCK, ROOT

PAGE = (ROOT / "docs" / "export.md").read_text()


pytest.importorskip("quantus", exc_type=ImportError)  # its OpenCV needs libraries of the system


def test_its_blocks_run(explain: Status, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert explain("n_steps=2", "data.limit=7", "target=label", "output_dir=outputs/mine") == 0
    for format in ("png", "npz", "zarr"):
        assert perform(*compose("task=export", f"task.format={format}", "run=outputs/mine")) == 0
    languages = set()
    for language, source in BLOCK.findall(PAGE.replace('resnet50(weights="DEFAULT")', "resnet50()")):
        languages.add(language)
        if language == "python":
            exec(compile(source, "docs/export.md", "exec"), {})
            continue
        for words in map(shlex.split, source.splitlines()):
            if words[0] == "virelay":
                assert Path(words[1]).is_file()
            else:
                assert perform(*compose(*words[3:], "num_workers=0")) == 0
    assert languages == {"bash", "python"}
    assert [path.suffix for path in Path("wrong").glob("*.npz")] == [".npz"]
