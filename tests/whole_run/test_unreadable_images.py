"""A folder of unreadable files: each is a named failure, each readable one a map, and nothing hangs or stops."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from tests import unreadable_images
from tests.conftest import Status

FLAT = ("data.labels=false", "method=saliency")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Thirty kinds of bad file."""
    folder = tmp_path / "bad"
    folder.mkdir()
    unreadable_images.write_unreadable_images(folder)
    return folder


def failures(run: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    return {line["path"]: line["error"] for line in lines}


@pytest.mark.slow
def test_thirty_kinds_of_bad_files(explain: Status, folder: Path, bad: Path, dataset: Path) -> None:
    photographs = sorted(dataset.rglob("*.jpg"))
    for number in range(30):
        shutil.copyfile(photographs[number % len(photographs)], bad / f"good {number}.jpg")
    command = (*FLAT, f"data.root={bad}", "num_workers=1")
    assert explain(*command) == 3
    assert explain(*command, "data.max_failed=0.6") == 0
    found = failures(folder)
    assert len(unreadable_images.KINDS) == 30 and found.keys() == {
        os.fsdecode(name) for name in unreadable_images.KINDS
    }
    for name, (_, words) in unreadable_images.KINDS.items():
        assert words in found[os.fsdecode(name)] and len(found[os.fsdecode(name)]) > 10, name
    run = pipeline.open_run(folder)
    assert len(run) == 30 and all(explanation.path.name.startswith("good") for explanation in run)
    page = (folder / "report" / "index.html").read_text()
    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page


def test_odd_files_are_explained(explain: Status, folder: Path, dataset: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    count = unreadable_images.odd_but_good(odd, Image.open(next(dataset.rglob("*.jpg"))).convert("RGB"))
    assert explain(*FLAT, f"data.root={odd}") == 0
    assert len(pipeline.open_run(folder)) == count and failures(folder) == {}


def test_files_that_vanish_or_change_during_the_run(explain: Status, folder: Path, dataset: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The listing is frozen: a file that is gone when it is read is a failure, a replaced one is read."""
    root = tmp_path / "photographs"
    shutil.copytree(dataset, root)
    write_config = pipeline.run.loop.write_config  # the last thing before the images are read

    def later(job):
        (root / "n02123159" / "a.jpg").unlink()
        (root / "n02123159" / "b.jpg").write_bytes(b"replaced")
        shutil.copyfile(root / "n03763968" / "a.jpg", root / "n02123159" / "c.jpg")
        return write_config(job)

    monkeypatch.setattr("pipeline.run.loop.write_config", later)
    assert explain("method=saliency", f"data.root={root}") == 3
    found = failures(folder)
    assert "No such file" in found.pop("n02123159/a.jpg") and unreadable_images.NO_IMAGE in found.pop("n02123159/b.jpg")
    assert not found
    run = pipeline.open_run(folder)
    np.testing.assert_allclose(run[0].prediction, run[2].prediction, rtol=1e-3, atol=1e-4)


def test_a_constant_network(explain: Status, folder: Path) -> None:
    assert explain("method=ig", "n_steps=3", "model.factory=tiny_networks:constant", "model.weights=null") == 0
    assert not any(explanation.map.any() for explanation in pipeline.open_run(folder))
    assert "Maps of zeros" in (folder / "report" / "index.html").read_text()


def test_an_empty_class_folder_counts_as_a_class(explain: Status, folder: Path, dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "classes"
    for name in ("cats", "dogs", "empty"):
        (root / name).mkdir(parents=True)
    for name, source in zip(("cats", "dogs"), sorted(dataset.rglob("*.jpg")), strict=False):
        shutil.copyfile(source, root / name / "a.jpg")
    three = ("model.factory=tiny_networks:three", "model.weights=null")
    assert explain("method=saliency", f"data.root={root}", *three) == 0
    assert pipeline.open_run(folder).table()["label"].tolist() == [0, 1]
