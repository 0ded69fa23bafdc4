"""Images that kill the process: quarantined by name after three deaths; all others as in an unbroken run."""

from pathlib import Path

import pytest
from PIL import Image

import pipeline
from pipeline.store.heartbeat import read_heartbeats
from pipeline.store.verify import verify
from tests.commands import command
from tests.deadly_images import add_deadly_images, check_quarantined, copy_photographs_and_network

MAX_STARTS = 12


@pytest.fixture
def arguments(dataset: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.syspath_prepend(tmp_path)
    return [*tiny, *copy_photographs_and_network(dataset, tmp_path)]


def start_until_it_ends(arguments: list[str], folder: Path) -> tuple[list[int], str]:
    """Give the command again until it ends without being killed; the exit statuses, and all messages."""
    statuses: list[int] = []
    messages = ""
    while len(statuses) < MAX_STARTS:
        result = command(*arguments, folder=folder)
        statuses.append(result.status)
        messages += result.err  # the start that quarantines an image names it, and may then die at another
        if result.status in (0, 1, 2, 3, 4):
            return statuses, messages
    raise AssertionError(f"it does not end: {statuses}")


@pytest.mark.slow
def test_images_that_kill_the_process_are_quarantined(arguments: list[str], tmp_path: Path) -> None:
    run, unbroken = tmp_path / "run", tmp_path / "unbroken"
    assert command(*arguments, f"output_dir={unbroken}", folder=tmp_path).status == 0
    # the first of the run, its neighbour, and the last
    names = add_deadly_images(tmp_path / "photographs", {"0/A.png": "red", "0/B.png": "lime", "2/z.png": "blue"})
    statuses, messages = start_until_it_ends([*arguments, "num_workers=1"], tmp_path)
    assert statuses[-1] == 3 and set(statuses[:-1]) == {9, -9, -11}, messages
    assert len(statuses) - 1 <= 3 * len(names), "three deaths for each image, at most"
    assert all(f"{name} is quarantined" in messages for name in names)
    check_quarantined(run, names, unbroken)
    assert read_heartbeats(run) == []


def test_one_death_quarantines_nothing(arguments: list[str], tmp_path: Path) -> None:
    add_deadly_images(tmp_path / "photographs", {"1/a.png": "red"})
    assert command(*arguments, folder=tmp_path).status == 9
    (record,) = read_heartbeats(tmp_path / "run")
    assert not record.alive and len(record.state.at) == 4 and record.state.error is None
    for path in (tmp_path / "photographs").rglob("a.png"):
        Image.effect_noise((40, 40), 9).save(path)  # an image that does not kill
    assert command(*arguments, folder=tmp_path).status == 0
    assert len(pipeline.open_run(tmp_path / "run")) == 13 and verify(tmp_path / "run").is_intact
