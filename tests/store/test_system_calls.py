"""A writer, and what derives the results, killed before each of its system calls and in the middle of each write."""

import multiprocessing
import signal
from pathlib import Path

import pytest
from system_calls import SystemCalls

from pipeline.report.derived_files import finish
from pipeline.store.heartbeat import Heartbeat, read_heartbeats
from pipeline.store.manifest import freeze_manifest
from pipeline.store.verify import verify
from tests.store import synthetic

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["system_calls", "tests.store.synthetic", "pipeline.__main__", "pipeline.tasks"])


def write(run: Path, record: Path | None, kill_at: str | None) -> None:
    with SystemCalls(record, kill_at):
        freeze_manifest(run, synthetic.manifest(25))
        with Heartbeat(run) as heartbeat, heartbeat.in_work([0]):
            synthetic.write(run, shard_size=25, batch=10, pause=0.03)
        finish(run)


def files(run: Path) -> dict[str, bytes]:
    """All files of a finished run, by name."""
    results = ("failures.jsonl", "summary.json", "summary.csv", "index.h5")
    return synthetic.contents(run) | {name: (run / name).read_bytes() for name in results}


def start(*arguments: object) -> int:
    process = CONTEXT.Process(target=write, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.slow
def test_a_run_killed_at_any_system_call_resumes_to_the_files_of_an_unbroken_run(tmp_path: Path) -> None:
    record, unbroken = tmp_path / "record", tmp_path / "unbroken"
    assert start(unbroken, record, None) == 0
    lines = sorted(set(record.read_text().splitlines()))
    assert {
        "half a write of checkpoint", "link of shard", "fsync of folder", "rename of summary of a shard",
        "half a write of index of the shards", "half a pwrite of heartbeat", "write of derived file",
    } <= {line.replace("replace", "rename") for line in lines}  # fmt: skip
    wanted = files(unbroken)
    killed = 0
    for number, line in enumerate(lines):
        run = tmp_path / str(number)
        killed += start(run, None, line) == -signal.SIGKILL
        if (run / "manifest.h5").exists():
            assert not [one for one in verify(run).problems if "task=finish" not in one.text], line
        synthetic.write(run, shard_size=25)
        finish(run)
        assert files(run) == wanted, line
        assert read_heartbeats(run) == [], line
    assert killed == len(lines) > 45
