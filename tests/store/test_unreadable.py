"""Files of a run that exist and cannot be read: a real EIO, and missing permission."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.report.derived_files import finish
from pipeline.store.heartbeat import Heartbeat, read_heartbeats
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.reader import Run
from pipeline.store.shard_checkpoint import load_checkpoints
from pipeline.store.shard_reader import ShardReader
from pipeline.store.verify import verify
from pipeline.store.writer import Writer
from tests.store import synthetic

UNPRIVILEGED_USER = 65534
SHARD, SUMMARY, CHECKPOINT = (
    f"shards/000/{name}" for name in ("0000001.h5", "0000001.json", "0000004.rows-40-41.part")
)


@pytest.fixture
def run() -> Iterator[Path]:
    """Four published shards and a checkpoint; not below pytest's own folder, which others may not enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        synthetic.write(path)
        for ending in ("h5", "json"):
            (path / f"shards/000/0000004.{ending}").unlink()
        with Writer(path, synthetic.manifest(), attributes=synthetic.ATTRIBUTES) as writer:
            writer.add(synthetic.rows([40, 41], failed=()))
        yield path


@contextmanager
def disk_error(path: Path) -> Iterator[str]:
    """Inside the context reading a file is EIO: this process's memory is mounted there, its first page unmapped."""
    mounted = subprocess.run(["mount", "--bind", f"/proc/{os.getpid()}/mem", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting needs root: {mounted.stderr.decode().strip()}")
    try:
        yield "Input/output error"
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def no_permission(path: Path) -> Iterator[str]:
    """Inside the context this process may not read a file; root, which modes do not restrict, becomes another user."""
    path.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(UNPRIVILEGED_USER)
    try:
        yield "Permission denied"
    finally:
        if was_root:
            os.seteuid(0)
        path.chmod(0o644)


def ledger(run: Path) -> Ledger:
    return Ledger(run, Manifest.open(run))


READERS: list[tuple[str, Callable[[Path], object]]] = [
    (SUMMARY, lambda run: ledger(run).rows(1)),
    (SUMMARY, lambda run: Run(ShardReader(run)).table()),
    (SUMMARY, finish),
    (SHARD, lambda run: ledger(run).rows(1)),
    (SHARD, lambda run: ledger(run).write_summary(1)),
    (SHARD, lambda run: Run(ShardReader(run)).table()),
    (CHECKPOINT, lambda run: load_checkpoints(run, Manifest.open(run), 4)),
    ("manifest.h5", Manifest.open),
]


@pytest.mark.parametrize("fault", [disk_error, no_permission])
@pytest.mark.parametrize(("name", "read"), READERS)
def test_the_file_is_named_with_the_reason(run: Path, name: str, read: Callable[[Path], object], fault) -> None:
    with fault(run / name) as reason:
        wanted = "Inv" if name == "manifest.h5" and fault is disk_error else reason
        with pytest.raises(StoreError, match=rf"{name} cannot be read: {wanted}"):
            read(run)
    read(run)  # afterwards the file is unchanged


@pytest.mark.parametrize("name", [SHARD, SUMMARY, CHECKPOINT])
def test_verify_names_the_file_and_reads_the_others(run: Path, name: str) -> None:
    with disk_error(run / name) as reason:
        verification = verify(run)
        assert [problem.text for problem in verification.problems] == [f"{run / name} cannot be read: {reason}"]
        assert verification.rows == len(synthetic.rows(range(30))) + (0 if name != CHECKPOINT else 10)
    assert verify(run).is_intact


def test_a_heartbeat_that_cannot_be_read(run: Path) -> None:
    with Heartbeat(run):
        (path,) = (run / "workers").iterdir()
        with no_permission(path), pytest.raises(StoreError, match=r"workers/.*json cannot be read: Permission denied"):
            read_heartbeats(run)
