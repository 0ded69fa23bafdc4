import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.report.derived_files import finish
from pipeline.store.atomic import DiskFull, Unwritable
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.shard_checkpoint import checkpoint_paths
from pipeline.store.verify import verify
from pipeline.store.writer import Writer
from tests.store import synthetic

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = tmp_path_factory.mktemp("unbroken")
    synthetic.write(run)
    return synthetic.contents(run)


@pytest.fixture
def job(tmp_path):
    return tmp_path, freeze_manifest(tmp_path, synthetic.manifest())


def writer(job, seconds: float = 0.02) -> Writer:
    return Writer(job[0], job[1], attributes=synthetic.ATTRIBUTES, checkpoint_seconds=seconds)


def start(run: Path, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.store.synthetic", str(run), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_run_has_a_shard_and_a_summary_for_each_range(unbroken):
    names = [f"shards/000/000000{shard}.{ending}" for shard in range(5) for ending in ("h5", "json")]
    assert sorted(unbroken) == names


@pytest.mark.parametrize("options", [{"shard_size": 10, "batch": 50}, {"batch": 1}, {"batch": 7}])
def test_the_bytes_do_not_depend_on_the_batches(tmp_path, unbroken, options):
    synthetic.write(tmp_path, **options)
    assert synthetic.contents(tmp_path) == unbroken


def test_images_may_come_in_any_order(job, unbroken):
    images = np.random.default_rng(0).permutation(50)
    with writer(job) as out:
        for some in np.array_split(images, 9):
            out.add(synthetic.rows(some.tolist()))
    assert synthetic.contents(job[0]) == unbroken


def test_targets_of_an_image_stay_in_order(tmp_path):
    synthetic.write(tmp_path, targets=2, batch=3)
    assert verify(tmp_path).problems == []
    ledger = Ledger(tmp_path, freeze_manifest(tmp_path, synthetic.manifest()))
    rows = Rows.concatenate(ledger.rows(shard) for shard in range(5))
    assert len(rows) == 2 * 43
    assert rows.columns["target"].tolist() == [1, 0] * 43


def test_a_shard_of_failures_alone_is_published(tmp_path):
    synthetic.write(tmp_path, shard_size=5)
    ledger = Ledger(tmp_path, freeze_manifest(tmp_path, synthetic.manifest()))
    rows = ledger.rows(4)
    assert len(rows) == 0
    assert [failure.index for failure in rows.failures] == [20, 21, 22, 23, 24]
    assert verify(tmp_path).problems == []


def test_an_image_added_twice_is_stored_once(job, unbroken):
    with writer(job) as out:
        for start in range(0, 50, 5):
            out.add(synthetic.rows(range(max(0, start - 3), start + 5)))
    assert synthetic.contents(job[0]) == unbroken


def test_a_checkpoint_is_saved_in_time_without_new_rows(job):
    with writer(job, seconds=0.1) as out:
        out.add(synthetic.rows([0, 1]))
        wait_for(lambda: checkpoint_paths(job[0], 0))


def test_a_run_killed_at_any_moment_resumes_to_the_files_of_an_unbroken_run(tmp_path, unbroken):
    moments = random.Random(0)
    for _ in range(5):
        before = set(synthetic.contents(tmp_path))
        process = start(tmp_path, pause=0.3)
        wait_for(lambda before=before: not before >= set(synthetic.contents(tmp_path)))
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        problems = [problem for problem in verify(tmp_path).problems if "task=finish" not in problem.text]
        assert problems == []
    assert start(tmp_path, pause=0).wait() == 0
    finish(tmp_path)
    assert synthetic.contents(tmp_path) == unbroken


def test_concurrent_processes_store_each_image_exactly_once(tmp_path, unbroken):
    processes = [start(tmp_path, pause=0.02) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert verify(tmp_path).problems == []
    finish(tmp_path)
    assert synthetic.contents(tmp_path) == unbroken


def test_the_shard_that_was_published_first_stays(job):
    with writer(job, seconds=60) as one, writer(job, seconds=60) as two:
        one.add(synthetic.rows(range(9)))
        one.close()
        two.add(synthetic.rows(range(10), failed=()))
        two.close()
        with writer(job) as late:
            late.add(synthetic.rows([8, 9]))
    assert Ledger(*job).rows(0).failures == []
    assert len(Ledger(*job).rows(0)) == 10


def test_a_retry_of_failed_images_replaces_the_shard(tmp_path, unbroken):
    synthetic.write(tmp_path)
    job = tmp_path, freeze_manifest(tmp_path, synthetic.manifest())
    with writer(job) as out:
        assert out.retry(1).size == 0
        assert out.retry(0).tolist() == [3, 7]
        out.add(synthetic.rows([3], failed=()))
    assert synthetic.contents(tmp_path)["shards/000/0000000.h5"] == unbroken["shards/000/0000000.h5"]
    with writer(job) as out:
        assert out.retry(0).tolist() == [7]  # 3 was saved in a checkpoint
        out.add(synthetic.rows([7], failed={7}))
    rows = Ledger(*job).rows(0)
    assert [failure.index for failure in rows.failures] == [7]
    assert rows.columns["index"].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert verify(tmp_path).problems == []
    assert checkpoint_paths(tmp_path, 0) == []


def test_a_damaged_shard_is_refused_by_retry_and_replaced_by_repair(tmp_path, unbroken):
    synthetic.write(tmp_path)
    job = tmp_path, freeze_manifest(tmp_path, synthetic.manifest())
    path = tmp_path / "shards/000/0000000.h5"
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    with writer(job) as out:
        with pytest.raises(StoreError, match="damaged"):
            out.retry(0)
        assert out.repair(0).tolist() == list(range(10))
        out.add(synthetic.rows(range(10)))
    assert synthetic.contents(tmp_path) == unbroken


def test_a_write_error_is_raised_in_the_caller(job):
    (job[0] / "shards").write_bytes(b"in the way")
    out = writer(job, seconds=60)
    with pytest.raises(Unwritable, match="shards"):
        for _ in range(100):
            out.add(synthetic.rows(range(10)))
            time.sleep(0.01)
    with pytest.raises(Unwritable, match="shards"):
        out.close()


def test_a_closed_writer_refuses_rows(job):
    out = writer(job)
    out.close()
    out.close()
    with pytest.raises(ValueError, match="closed"):
        out.add(synthetic.rows([0]))


@pytest.mark.parametrize("options", [{"checkpoint_seconds": 0}, {"filter": "zstd"}])
def test_wrong_options_are_refused(job, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Writer(*job, attributes={}, **options)


def test_rows_of_images_that_the_run_does_not_have_are_refused(job):
    with writer(job) as out, pytest.raises(ValueError, match="are not all among the run's 50"):
        out.add(synthetic.rows([49, 50]))


def test_a_full_disk_stops_it_and_it_resumes_once_there_is_room(small_disk, unbroken):
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    with pytest.raises(DiskFull, match="are free"):
        synthetic.write(small_disk)
    assert all(not name.endswith(".tmp") for name in synthetic.contents(small_disk))
    (small_disk / "ballast").unlink()
    synthetic.write(small_disk)
    assert synthetic.contents(small_disk) == unbroken
