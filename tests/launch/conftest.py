"""Photographs enough to share, and what one process makes of them."""

import shutil
from pathlib import Path

import pytest

from pipeline.tasks import perform
from tests.conftest import Compose, Status
from tests.counting import FOLDER, IMAGES, evaluated_points, options


@pytest.fixture
def counted(dataset: Path, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Status:
    """The exit status of a command line, whose processes count the points they evaluate in ``tmp_path``."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # of the processes, which find `tests` there
    photographs = tmp_path / "photographs"
    sources = sorted(dataset.rglob("*.jpg"))
    for number in range(IMAGES):
        source = sources[number % len(sources)]
        target = photographs / source.parent.name / f"{number // len(sources)}{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def status(*arguments: str, factory: str = "build") -> int:
        return perform(*compose(*options(factory), f"data.root={photographs}", *arguments))

    return status


@pytest.fixture
def alone(counted: Status, tmp_path: Path) -> Path:
    """The run of one process."""
    (tmp_path / "go").write_text("0")
    assert counted(f"output_dir={tmp_path / 'alone'}") == 0
    assert evaluated_points(tmp_path) == 2 * IMAGES
    (tmp_path / "evaluated_points").unlink()
    (tmp_path / "go").unlink()
    return tmp_path / "alone"
