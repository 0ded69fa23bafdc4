"""Images that kill the process: singled out from start to start, and named; all others as in an unbroken run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.store.start import starts
from pipeline.store.verify import verify
from tests.commands import command

DEADLY = '''
import ctypes
import os
import signal

from torch import nn
from tiny_networks import build

DEATHS = [lambda: os._exit(9), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: ctypes.string_at(0)]


class Deadly(nn.Sequential):
    """Ends the process when it is shown an image of one colour alone; which colour decides how."""

    def forward(self, images):
        for image in images:
            colour = image.mean((1, 2))
            if image.flatten(1).std(1).max() < 1e-6 and colour.std() > 0.1:
                DEATHS[int(colour.argmax())]()
        return super().forward(images)


def deadly():
    return Deadly(*build())
'''
MOST_STARTS = 12


@pytest.fixture
def arguments(dataset: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Explains a copy of the small photographs with a network that images of one colour kill."""
    (tmp_path / "deadly_networks.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copytree(dataset, tmp_path / "photographs")
    return [
        *tiny, f"data.root={tmp_path / 'photographs'}", "model.factory=deadly_networks:deadly",
        "model.allow=[deadly_networks]", "method=saliency", "dtype=float64", "store.dtype=float64",
        "store.shard_size=6", "report.images=false", f"output_dir={tmp_path / 'run'}",
    ]  # fmt: skip


def poison(photographs: Path, colours: dict[str, str]) -> set[str]:
    """Puts images of one colour into a folder of photographs, by number of the class folder; gives their paths."""
    folders = sorted(photographs.iterdir())
    names = set()
    for place, colour in colours.items():
        number, name = place.split("/")
        path = folders[int(number)] / name
        Image.new("RGB", (40, 40), colour).save(path)
        names.add(str(path.relative_to(photographs)))
    return names


def ends(arguments: list[str], folder: Path) -> tuple[list[int], str]:
    """The statuses of one start after the other until one ends by itself, and what that one says."""
    statuses: list[int] = []
    while len(statuses) < MOST_STARTS:
        answer = command(*arguments, folder=folder)
        statuses.append(answer.status)
        if answer.status in (0, 1, 2, 3, 4):
            return statuses, answer.err
    raise AssertionError(f"it does not end: {statuses}")


def holds_all_others(run: Path, names: set[str], unbroken: Path) -> None:
    """Whether a run gave up these images alone, by name, and explains the others as the unbroken run does."""
    assert verify(run).whole and not list(run.rglob("*.part"))
    lines = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert {(line["path"], line["stage"]) for line in lines} == {(name, "killed") for name in names}
    assert all("the process died 3 times" in line["error"] for line in lines)
    found = {str(one.path): one for one in pipeline.open_run(run)}
    expected = {str(one.path): one for one in pipeline.open_run(unbroken)}
    assert found.keys() == expected.keys() and len(found) == 12
    for path, one in expected.items():
        np.testing.assert_allclose(found[path].native, one.native, rtol=0, atol=1e-9 * np.abs(one.native).max())


@pytest.mark.slow
def test_images_that_kill_the_process_are_named(arguments: list[str], tmp_path: Path) -> None:
    run, unbroken = tmp_path / "run", tmp_path / "unbroken"
    assert command(*arguments, f"output_dir={unbroken}", folder=tmp_path).status == 0
    # the first of the run, its neighbour, and the last
    names = poison(tmp_path / "photographs", {"0/A.png": "red", "0/B.png": "lime", "2/z.png": "blue"})
    statuses, said = ends([*arguments, "num_workers=1"], tmp_path)
    assert statuses[-1] == 3 and set(statuses[:-1]) == {9, -9, -11}, said
    assert len(statuses) - 1 <= 3 * len(names), "three deaths for each image, at most"
    assert all(f"{name} is given up" in said for name in names)
    holds_all_others(run, names, unbroken)
    assert starts(run) == []


def test_a_death_alone_gives_nothing_up(arguments: list[str], tmp_path: Path) -> None:
    poison(tmp_path / "photographs", {"1/a.png": "red"})
    assert command(*arguments, folder=tmp_path).status == 9
    (start,) = starts(tmp_path / "run")
    assert not start.alive and len(start.facts.at) == 4 and start.facts.error is None
    for path in (tmp_path / "photographs").rglob("a.png"):
        Image.effect_noise((40, 40), 9).save(path)  # what killed is cured
    assert command(*arguments, folder=tmp_path).status == 0
    assert len(pipeline.open_run(tmp_path / "run")) == 13 and verify(tmp_path / "run").whole
