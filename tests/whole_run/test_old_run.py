"""A half-done run of version 0.1.0 opens, verifies, reports and resumes, in its own folder, with its own fingerprint.

run_0_1_0.tar.xz holds the run as that version left it after SIGTERM: 41 small images (one is broken), two of five
shards published, a part of the third; its command, its network, and ``maps.npy``, the maps of its unbroken run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import pipeline
from tests.commands import command

ARCHIVE = Path(__file__).with_name("run_0_1_0.tar.xz")
PLACE = Path("/tmp/attribution-run-0.1.0")
"""Where the run was made; its manifest names this folder."""
RUN = Path("outputs/ig-checkpoint-photographs-6158910f")
FINGERPRINT = "6158910f"
PUBLISHED = ("0000000.h5", "0000000.json", "0000001.h5", "0000001.json")


@pytest.fixture
def place() -> Iterator[Path]:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(PLACE, filter="data")
    yield PLACE
    shutil.rmtree(PLACE)


def digests(run: Path) -> dict[str, str]:
    files = (run / "shards" / "000" / name for name in PUBLISHED)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def resume(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command of the run, in a process of its own: it imports the network from its working folder."""
    arguments = [*(folder / "command.txt").read_text().split(), *options]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check_maps(folder: Path) -> None:
    run = pipeline.open_run(folder / RUN)
    expected = np.load(folder / "maps.npy").astype(np.float32)
    maps = np.stack([explanation.map for explanation in run])
    assert run.manifest.fingerprint.startswith(FINGERPRINT)
    assert maps.shape == expected.shape
    scale = np.abs(expected).max((1, 2, 3), keepdims=True)
    assert np.all(np.abs(maps - expected) <= 2e-3 * scale)  # both are rounded to float16


def test_it_opens_and_verifies_half_done(place: Path) -> None:
    run = pipeline.open_run(place / RUN)
    assert len(run) == 20 and run.attributes["method"] == "ig" and run[3].class_name == "class 0"
    assert next(iter(run)).path.is_file()
    status = command("task=status", f"run={RUN}", folder=place)
    assert status.status == 0 and "2 of 5 shards published" in status.err
    verified = command("task=verify", f"run={RUN}", folder=place)
    assert verified.status == 0 and "0 problems" in verified.err, verified.err
    reported = command("task=report", f"run={RUN}", folder=place)
    assert reported.status == 0 and (place / RUN / "report" / "index.html").is_file(), reported.err


@pytest.mark.slow
def test_the_same_command_resumes_it_in_its_own_folder(place: Path) -> None:
    before = digests(place / RUN)
    done = resume(place)
    assert done.returncode == 0, done.stderr
    assert [folder.name for folder in (place / "outputs").iterdir()] == [RUN.name]
    assert digests(place / RUN) == before  # what was published stays, byte for byte
    check_maps(place)
    verified = command("task=verify", f"run={RUN}", folder=place)
    assert verified.status == 0 and "5 of 5 shards, 40 explanations, 1 failures: 0 problems" in verified.err


@pytest.mark.slow
def test_a_config_without_newer_options_resumes_too(place: Path) -> None:
    """As a worker and a repair read it: from config.yaml alone, with defaults for what the file lacks."""
    path = place / RUN / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    for group in ("store", "data", "engine", "report"):  # as if these had been added after the run was made
        removed = {"store": "filter", "data": "class_map", "engine": "compile", "report": "images"}[group]
        del stored[group][removed]
    path.write_text(yaml.safe_dump(stored))
    network = [word for word in (place / "command.txt").read_text().split() if word.startswith("model")]
    done = resume(place, "task=work", f"run={RUN}", "task.finish=true", *network)
    assert done.returncode == 0, done.stderr
    check_maps(place)
