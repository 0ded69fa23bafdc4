"""Several runs by one command: each in a folder of its own, all of them begun, the first failure counts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from tests.commands import Command, command


@pytest.fixture
def sweep(tiny: list[str], networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sweep of two methods, in whose folder other processes find the network."""
    shutil.copyfile(networks / "tiny_networks.py", tmp_path / "tiny_networks.py")
    return ["-m", *tiny, "method=saliency,input_x_gradient", "data.limit=3", "report.images=false"]


def lengths(folder: Path) -> dict[str, int]:
    """Explanations of each run, by the method that begins its name."""
    return {run.name.partition("-")[0]: len(pipeline.open_run(run)) for run in (folder / "outputs").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_other_processes(sweep: list[str], tmp_path: Path, launcher: str) -> None:
    command = [sys.executable, "-m", "pipeline", *sweep, f"hydra/launcher={launcher}", "data.limit=-1,2"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2, result.stderr
    assert lengths(tmp_path) == {"saliency": 2, "input_x_gradient": 2}


def test_two_sweeps_in_the_same_second(sweep: list[str], tmp_path: Path) -> None:
    starts = [Command([*sweep, f"seed={seed}"], tmp_path) for seed in (1, 2)]
    assert [start.wait().status for start in starts] == [0, 0]
    runs = list((tmp_path / "outputs").iterdir())
    assert len(runs) == 4 and all(len(pipeline.open_run(run)) == 3 for run in runs)


def test_every_job_runs_and_the_first_failure_counts(sweep: list[str], tmp_path: Path) -> None:
    result = command(*sweep, "data.limit=-1,2", folder=tmp_path)
    assert result.status == 2, result.err
    assert lengths(tmp_path) == {"saliency": 2, "input_x_gradient": 2}
