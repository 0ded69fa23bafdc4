from pathlib import Path

import pytest
import yaml

import pipeline
from pipeline.errors import StoreError
from pipeline.tasks import perform
from tests.conftest import Compose, Status
from tests.shards import files, hashes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_folder_of_another_job_is_refused(explain: Status, folder: Path) -> None:
    assert explain("n_steps=3", "data.limit=2") == 0
    before = files(folder)
    with pytest.raises(StoreError, match="n_steps: 3 in the folder, 200 requested") as caught:
        explain("n_steps=200", "data.limit=2")
    assert "output_dir" in str(caught.value)
    with pytest.raises(StoreError, match="n_steps"):
        explain("method=saliency", "data.limit=2")
    with pytest.raises(StoreError, match="list of images"):
        explain("n_steps=3", "data.limit=3")
    assert files(folder) == before


def test_config_is_that_of_the_first_start(explain: Status, folder: Path) -> None:
    assert explain("n_steps=3", "batch_size=5") == 0
    assert explain("n_steps=3", "batch_size=2") == 0
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["batch_size"] == 5 and config["method"]["n_steps"] == 3
    assert config["names"]["method"] == "ig" and config["fingerprint_of"]["n_steps"] == 3
    assert {"command", "versions", "git_commit"} <= config.keys()


def test_verify_repair_finish_report_status(explain: Status, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def damage() -> None:
        path = folder / "shards" / "000" / "0000001.h5"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    caplog.set_level("INFO", logger="pipeline")
    run = f"run={folder}"
    assert explain("method=saliency", "store.shard_size=4") == 0
    before = hashes(folder)
    assert explain("task=verify", run) == 0
    damage()
    caplog.clear()
    assert explain("task=verify", run) == 4
    assert "0000001.h5" in caplog.text
    with pytest.raises(StoreError, match="task=verify"):
        pipeline.open_run(folder)[7].native  # noqa: B018 - reading is what fails
    assert explain("task=verify", "task.repair=true", run) == 0
    assert explain("task=verify", run) == 0
    assert hashes(folder) == before
    for name in ("failures.jsonl", "summary.json", "summary.csv", "report/index.html"):
        (folder / name).unlink()
    assert explain("task=finish", run) == 0
    assert (folder / "summary.json").is_file() and not (folder / "report/index.html").exists()
    assert explain("task=report", run) == 0
    assert (folder / "report" / "index.html").is_file()
    (folder / "shards" / "000" / "0000002.h5").unlink()
    caplog.clear()
    assert explain("task=status", run) == 0
    assert "2 of 3 shards published, 0 in work, 1 missing (0 of them begun), 0 with failures" in caplog.text
    assert "8 of 12 images done, 0 of them failed; no worker is alive: the same command resumes" in caplog.text


@pytest.mark.parametrize("cure", ["repair", "finish"])
def test_verify_finds_a_wrong_summary(
    explain: Status, folder: Path, caplog: pytest.LogCaptureFixture, cure: str
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain("method=saliency") == 0
    path = folder / "shards" / "000" / "0000000.json"
    before = path.read_text()
    path.write_text(before.replace('"rows":4', '"rows":3'))
    assert explain("task=verify", f"run={folder}") == 4
    assert "remove it, task=finish writes it again" in caplog.text
    if cure == "repair":
        assert explain("task=verify", "task.repair=true", f"run={folder}") == 0
    else:
        path.unlink()
        assert explain("task=finish", f"run={folder}") == 0
    assert explain("task=verify", f"run={folder}") == 0
    assert path.read_text() == before


def test_demo_runs_from_its_own_photographs(compose: Compose, tmp_path: Path) -> None:
    quick = ("data.transform.resize=64", "data.transform.crop=64", "method=saliency", "num_workers=0")
    assert perform(*compose(*quick, f"output_dir={tmp_path}")) == 0
    run = pipeline.open_run(tmp_path)
    assert len(run) == 7
    assert all(explanation.path.is_relative_to(tmp_path / "photographs") for explanation in run)
