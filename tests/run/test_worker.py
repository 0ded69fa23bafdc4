"""Workers of one run: each starts with its own shards, helps, and reads from the folder alone when all is done."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import pipeline
from pipeline.errors import UsageError
from pipeline.run.loop import freeze_run
from pipeline.store.run_files import shard_path
from pipeline.store.verify import verify
from scripts.crash_test import differences
from tests.commands import Command
from tests.conftest import Prepare, Status
from tests.shards import hashes

EXACT = ("dtype=float64", "store.dtype=float64", "n_steps=5", "store.shard_size=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def work(tiny: list[str], folder: Path) -> list[str]:
    """The command line of a worker, but for its number; it repeats the options that name code."""
    code = [argument for argument in tiny if argument.startswith("model")]
    return ["task=work", f"run={folder}", *code, "device=cpu", "num_workers=0"]


def test_one_worker_does_what_one_process_does(
    job: Prepare, explain: Status, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain(*EXACT, "internal_batch_size=5", f"output_dir={tmp_path / 'one'}") == 0
    freeze_run(job(*EXACT, "internal_batch_size=5"))
    assert explain("task=work", f"run={folder}", "data.root=null", "batch_size=null") == 0
    assert hashes(folder) == hashes(tmp_path / "one")
    for name in ("summary.json", "failures.jsonl", "manifest.h5"):
        assert (folder / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert (folder / "report" / "index.html").exists()
    assert "12/12 explanations" in (folder / "workers" / "00000.log").read_text()


def test_workers_share_a_run(job: Prepare, work: list[str], explain: Status, folder: Path, tmp_path: Path) -> None:
    assert explain(*EXACT, f"output_dir={tmp_path / 'one'}") == 0
    freeze_run(job(*EXACT))
    commands = [Command([*work, f"task.worker={number}", "task.workers=3"], tmp_path) for number in range(3)]
    assert [command.wait().status for command in commands] == [0, 0, 0]
    assert not list(differences(tmp_path / "one", folder)) and verify(folder).is_intact
    assert (folder / "summary.json").read_bytes() == (tmp_path / "one" / "summary.json").read_bytes()
    assert not list(folder.rglob("*.part"))


def test_a_worker_begins_with_its_own_and_then_helps(
    job: Prepare, work: list[str], explain: Status, folder: Path
) -> None:
    freeze_run(job(*EXACT))
    assert explain(*work, "task.worker=1", "task.workers=4", "task.finish=false") == 0
    assert not (folder / "summary.json").exists()
    order = sorted(range(12), key=lambda shard: shard_path(folder, shard).stat().st_mtime_ns)
    assert order[:3] == [1, 5, 9] and order != sorted(order[:3]) + sorted(order[3:])
    assert pipeline.open_run(folder).table()["index"].tolist() == list(range(12))


def test_a_worker_lists_nothing_and_needs_no_option_of_the_run(
    job: Prepare, work: list[str], explain: Status, folder: Path, dataset: Path, tmp_path: Path
) -> None:
    freeze_run(job(*EXACT, "target=label"))
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**stored, "data": {**stored["data"], "root": "/nowhere"}}))
    assert explain(*work) == 0
    table = pipeline.open_run(folder).table()
    assert table["label"].tolist() == np.repeat([282, 652, 657], 4).tolist()
    assert table["target"].tolist() == table["label"].tolist()


def test_a_worker_refuses_what_it_cannot_do(
    job: Prepare, work: list[str], explain: Status, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        explain("task=work", f"run={folder}")
    tmp_path.joinpath("empty").mkdir()
    with pytest.raises(UsageError, match="no manifest"):
        explain("task=work", f"run={tmp_path / 'empty'}")
    freeze_run(job(*EXACT))
    with pytest.raises(UsageError, match="expected 0 to 3"):
        explain(*work, "task.worker=4", "task.workers=4")
    with pytest.raises(UsageError, match="names code to run"):
        explain("task=work", f"run={folder}", "model.factory=tiny_networks:three")


def test_workers_retry_failed_images(
    job: Prepare, work: list[str], explain: Status, folder: Path, dataset: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photographs"
    shutil.copytree(dataset, root)
    image = root / "n03763968" / "b.jpg"
    good = image.read_bytes()
    image.write_text("no photograph")
    freeze_run(job(*EXACT, f"data.root={root}"))
    assert explain(*work, "task.worker=0", "task.workers=2", "data.max_failed=0.5") == 3
    image.write_bytes(good)
    assert explain(*work, "task.worker=0", "task.workers=2", "retry_failed=true") == 3  # it is the other's
    assert explain(*work, "task.worker=1", "task.workers=2", "retry_failed=true") == 0
    assert len(pipeline.open_run(folder)) == 12
