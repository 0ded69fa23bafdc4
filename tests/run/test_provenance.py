"""config.yaml and the attributes of shards: written once, without passwords, enough to start again elsewhere."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.run.provenance import PROVENANCE, git_commit, read_config, shard_attributes, write_config
from pipeline.store.schema import canonical_json
from tests.conftest import Prepare


def test_config_is_of_the_first_start_and_complete(
    job: Prepare, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    monkeypatch.setattr("sys.argv", ["pipeline", "method=ig", "data.root=a b"])
    first = job(f"data.root={dataset.name}", "batch_size=3")
    first.run.mkdir()
    assert write_config(first) and not write_config(job("batch_size=5"))
    stored = read_config(first.run)
    assert set(PROVENANCE) <= stored.keys() and stored["batch_size"] == 3
    assert stored["command"] == "python -m pipeline method=ig 'data.root=a b'"
    assert stored["data"]["root"] == str(dataset), "absolute: a later start may stand in another folder"
    assert stored["fingerprint_of"] == json.loads(canonical_json(first.identity))
    assert stored["names"]["method"] == "ig" and stored["n_steps"] == stored["method"]["n_steps"] == 50


@pytest.mark.parametrize(("launch", "device"), [([], "cpu"), (["launch=processes", "launch.workers=2"], "auto")])
def test_the_device_of_workers_is_left_open(job: Prepare, launch: list[str], device: str) -> None:
    prepared = job(*launch)
    prepared.run.mkdir()
    write_config(prepared)
    assert read_config(prepared.run)["device"] == device


def test_passwords_are_left_out(job: Prepare) -> None:
    prepared = job()
    prepared.run.mkdir()
    data = replace(prepared.options.data, class_map="https://user:secret@host/map.json")
    write_config(replace(prepared, options=replace(prepared.options, data=data)))
    assert "secret" not in (prepared.run / "config.yaml").read_text()
    assert read_config(prepared.run)["data"]["class_map"] == "https://***@host/map.json"


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "\x00", None])
def test_a_damaged_config_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(StoreError, match=r"config\.yaml"):
        read_config(tmp_path)


def test_a_config_is_data(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: !!python/object/apply:os.mkdir [made]")
    with pytest.raises(StoreError, match="cannot be read"):
        read_config(tmp_path)


def test_attributes_name_what_was_computed(job: Prepare) -> None:
    tunnel = ("smooth=noise_tunnel", "smooth.stdevs=0.5", "view=layer", "layer='2'", "method=saliency", "target=top2")
    attributes = shard_attributes(job(*tunnel))
    assert attributes["method"] == "saliency" and attributes["target_option"] == "top2"
    assert attributes["options"] == {
        "abs": True,
        "smooth": "noise_tunnel",
        "smooth.nt_type": "smoothgrad",
        "smooth.nt_samples": 5,
        "smooth.stdevs": 0.5,
        "view": "layer",
        "layer": "2",
    }


def test_the_commit_is_gits() -> None:
    folder = Path(__file__).parents[2]
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    assert git_commit() == (git.stdout.strip() or None)
