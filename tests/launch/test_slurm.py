"""Workers on a real Slurm: killed, pre-empted, out of time, nodes and, for a while, their controller."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.report.derived_files import finished_counts
from pipeline.store.verify import verify
from tests.conftest import Status
from tests.counting import IMAGES, assert_equal_runs, evaluated_points, meanwhile, options, until

SCRIPT = Path(__file__).with_name("slurm.sh")
SCRIPTS = Path(__file__).parents[2] / "scripts"
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
needs_slurm = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(program) is None for program in NEEDED),
    reason=f"needs root and {', '.join(NEEDED)}: apt-get install slurmctld slurmd slurm-client munge",
)
LAUNCH = ("launch=slurm", "launch.workers=4", "launch.cpus=1", "launch.time=30m")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Slurm of four nodes."""
    folder = tmp_path / "slurm"
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    try:
        subprocess.run([SCRIPT, "start", folder, "4"], check=True)
        yield folder
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=True)


def client(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def jobs(states: str = "all") -> dict[str, str]:
    """Node, or nothing, of each array job in the queue."""
    lines = client("squeue", "--noheader", "--array", f"--states={states}", "--partition=low", "--format=%i %N")
    return {line.split()[0]: "".join(line.split()[1:]) for line in lines.splitlines()}


def process(number: int) -> int | None:
    """The process that works as a worker of this number."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments, environment = ((folder / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:  # gone meanwhile
            continue
        of_the_array = b"submitit.core._submit" in arguments and b"python" in arguments[0]
        if of_the_array and f"SLURM_ARRAY_TASK_ID={number}".encode() in environment:
            return int(folder.name)
    return None


@needs_slurm
@pytest.mark.slow
def test_kills_node_failures_and_preemption_lose_no_image(
    counted: Status, alone: Path, slurm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    run = tmp_path / "run"

    def published() -> int:
        return len(list(run.glob("shards/*/*.h5")))

    def ends(number: int) -> int:
        log = run / "workers" / f"{number:05d}.log"
        return log.read_text().count("stopped by SIGTERM")

    def hurt() -> None:
        until(lambda: len(list(run.glob("workers/*.log"))) == 4)
        (tmp_path / "go").write_text("0.3")
        until(lambda: published() >= 4)
        nodes = {job.partition("_")[2]: node for job, node in jobs("running").items()}
        killed = process(0)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        client("scontrol", "update", f"NodeName={nodes['1']}", "State=DOWN", "Reason=test")
        client("sbatch", "--partition=high", f"--nodelist={nodes['2']}", "--output=/dev/null", "--wrap=sleep 1")
        until(lambda: ends(1) == ends(2) == 1)
        subprocess.run([SCRIPT, "restart", slurm], check=True)  # to which the node comes back
        for job in jobs("pending"):  # Slurm lets what is queued again wait for two minutes
            client("scontrol", "update", f"JobId={job}", "StartTime=now")
        (tmp_path / "go").write_text("0")

    hurting = meanwhile(hurt)
    assert counted(*LAUNCH, f"output_dir={run}", "launch.follow=true") == 0
    hurting.join()
    assert_equal_runs(alone, run)
    assert verify(run).is_intact and not list(run.rglob("*.part"))
    # Doubled: what three workers had in hand, and what helpers took up that another was at.
    doubled = evaluated_points(tmp_path) / 2 - IMAGES
    assert doubled <= 3 + IMAGES / 4, f"{doubled} images were computed twice"
    caplog.clear()
    assert counted(*LAUNCH, f"output_dir={run}") == 0
    assert "nothing is left to do" in caplog.text and len({job.partition("_")[0] for job in jobs()}) == 1


@needs_slurm
@pytest.mark.slow
def test_a_time_limit_saves_and_queues_again(counted: Status, slurm: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "workers" / "00000.log"
    began = time.monotonic()
    assert counted(*LAUNCH, f"output_dir={run}", "launch.workers=1") == 0
    until(log.exists)
    (tmp_path / "go").write_text("1")
    until(lambda: len(list(run.glob("shards/*/*.h5"))) >= 2)
    (job,) = jobs("running")
    minutes = int(time.monotonic() - began) // 60 + 2  # one to two are left, and the warning is two before the end
    client("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
    until(lambda: "stopped by SIGTERM" in log.read_text())  # Slurm looks every half minute
    assert 2 <= len(list(run.glob("shards/*/*.h5"))) < IMAGES
    until(lambda: job in jobs("pending"))
    for change in ("TimeLimit=30", "StartTime=now"):  # it would wait for two minutes
        client("scontrol", "update", f"JobId={job}", change)
    (tmp_path / "go").write_text("0")
    until(lambda: finished_counts(run) == (IMAGES, 0))
    assert verify(run).is_intact
    assert evaluated_points(tmp_path) / 2 - IMAGES < 1  # a chunk of the image in hand


@needs_slurm
@pytest.mark.slow
def test_submitted_once_and_reported_when_all_have_died(
    counted: Status, slurm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    command = (*LAUNCH, f"output_dir={tmp_path / 'run'}", "launch.workers=2")
    assert counted(*command, factory="deadly") == 0
    assert len(jobs()) == 2 and "2 workers" in caplog.text
    caplog.clear()
    assert counted(*command, "launch.follow=true", factory="deadly") == 1
    assert "nothing is submitted" in caplog.text
    assert f"is over, {IMAGES} of {IMAGES} shards are not published" in caplog.text


@needs_slurm
@pytest.mark.slow
def test_the_script_for_sites_without_submitit(
    counted: Status, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    run, output = tmp_path / "run", tmp_path / "output"
    assert counted(f"output_dir={run}", "launch=none", "launch.workers=2") == 0
    sbatch = ["sbatch", "--parsable", "--array=0-1", "--cpus-per-task=1", "--time=30", f"--output={output}-%a"]
    code = [argument for argument in options() if argument.startswith("model")]
    job = client(*sbatch, str(SCRIPTS / "work.sbatch"), str(run), *code, "device=cpu")
    until(lambda: len(list(run.glob("workers/*.log"))) == 2)
    (tmp_path / "go").write_text("0.2")
    until(lambda: len(list(run.glob("shards/*/*.h5"))) >= 2)
    client("scancel", "--batch", "--signal=USR1", f"{job}_0")  # as before its time limit
    until(lambda: "is queued again" in Path(f"{output}-0").read_text())
    assert "stopped by SIGTERM" in (run / "workers" / "00000.log").read_text()
    (tmp_path / "go").write_text("0")
    until(lambda: finished_counts(run) == (IMAGES, 0))
    assert verify(run).is_intact


@needs_slurm
def test_a_refusal_by_slurm_is_one_line(counted: Status, slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="invalid partition"):
        counted(*LAUNCH, f"output_dir={tmp_path / 'run'}", "launch.partition=nowhere")


def test_without_slurm(explain: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no sbatch here"):
        explain("launch=slurm", "launch.workers=2")
