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
from pipeline.report.run_summary import finish
from pipeline.store.atomic import DiskFull, Unwritable
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import freeze
from pipeline.store.run_files import part_paths
from pipeline.store.schema import Rows
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
    return tmp_path, freeze(tmp_path, synthetic.manifest())


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


def test_the_files_are_those_of_the_design(unbroken):
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
    ledger = Ledger(tmp_path, freeze(tmp_path, synthetic.manifest()))
    rows = Rows.join(ledger.rows(shard) for shard in range(5))
    assert len(rows) == 2 * 43
    assert rows.columns["target"].tolist() == [1, 0] * 43


def test_a_shard_of_failures_alone_is_published(tmp_path):
    synthetic.write(tmp_path, shard_size=5)
    ledger = Ledger(tmp_path, freeze(tmp_path, synthetic.manifest()))
    rows = ledger.rows(4)
    assert len(rows) == 0
    assert [failure.index for failure in rows.failures] == [20, 21, 22, 23, 24]
    assert verify(tmp_path).problems == []


def test_an_image_given_twice_is_stored_once(job, unbroken):
    with writer(job) as out:
        for start in range(0, 50, 5):
            out.add(synthetic.rows(range(max(0, start - 3), start + 5)))
    assert synthetic.contents(job[0]) == unbroken


def test_parts_are_named_by_their_images_and_spare_them(job, unbroken):
    run, _ = job
    with writer(job, seconds=60) as out:
        out.add(synthetic.rows([0, 1, 2, 3, 12, 15]))
    assert [path.name for path in part_paths(run, 0)] == ["0000000.rows-0-3.part"]
    assert [path.name for path in part_paths(run, 1)] == ["0000001.rows-12-15.part"]
    with writer(job, seconds=60) as out:
        assert out.restore(0).tolist() == [4, 5, 6, 7, 8, 9]
        assert out.restore(1).tolist() == [10, 11, 13, 14, 16, 17, 18, 19]
        assert out.restore(2).tolist() == list(range(20, 30))
        out.add(synthetic.rows([4, 5]))
    assert [path.name for path in part_paths(run, 0)] == ["0000000.rows-0-3.part", "0000000.rows-4-5.part"]
    synthetic.write(run)
    assert synthetic.contents(run) == unbroken


def test_rows_are_saved_in_time_though_no_more_come(job):
    with writer(job, seconds=0.1) as out:
        out.add(synthetic.rows([0, 1]))
        wait_for(lambda: part_paths(job[0], 0))


def test_parts_that_make_a_shard_whole_publish_it(job, unbroken):
    run, _ = job
    with writer(job) as out:
        out.add(synthetic.rows(range(9)))
    data = part_paths(run, 0)[0].read_bytes()
    with writer(job) as out:
        out.add(synthetic.rows([9]))
    (run / "shards/000/0000000.rows-0-8.part").write_bytes(data)
    with writer(job) as out:
        assert out.restore(0).size == 0
    assert (run / "shards/000/0000000.h5").read_bytes() == unbroken["shards/000/0000000.h5"]
    assert part_paths(run, 0) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_a_damaged_part_is_computed_again(job, unbroken, caplog, damage):
    run, _ = job
    with writer(job) as out:
        out.add(synthetic.rows([0, 1, 2]))
        out.add(synthetic.rows([10, 11]))
    first, second = part_paths(run, 0)[0], part_paths(run, 1)[0]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes({"flip": data, "cut": data[:99], "empty": b"", "foreign": second.read_bytes()}[damage])
    with writer(job) as out:
        assert out.restore(0).tolist() == list(range(10))
        assert out.restore(1).tolist() == list(range(12, 20))
    assert "0000000.rows-0-2.part is damaged" in caplog.text
    synthetic.write(run)
    assert synthetic.contents(run) == unbroken


def test_a_part_may_vanish(job, monkeypatch):
    with writer(job) as out:
        out.add(synthetic.rows([0, 1]))
    part = part_paths(job[0], 0)[0]
    part.unlink()
    monkeypatch.setattr("pipeline.store.ledger.part_paths", lambda run, shard: [part])
    with writer(job) as out:
        assert out.restore(0).tolist() == list(range(10))


def test_killed_at_any_moment_it_ends_as_if_unbroken(tmp_path, unbroken):
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


def test_two_processes_at_once_store_each_image_once(tmp_path, unbroken):
    processes = [start(tmp_path, pause=0.02) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert verify(tmp_path).problems == []
    finish(tmp_path)
    assert synthetic.contents(tmp_path) == unbroken


def test_what_another_published_first_stays(job):
    with writer(job, seconds=60) as one, writer(job, seconds=60) as two:
        one.add(synthetic.rows(range(9)))
        one.close()
        two.add(synthetic.rows(range(10), failed=()))
        two.close()
        with writer(job) as late:
            late.add(synthetic.rows([8, 9]))
    assert Ledger(*job).rows(0).failures == []
    assert len(Ledger(*job).rows(0)) == 10


def test_failed_images_are_tried_again_and_the_shard_replaced(tmp_path, unbroken):
    synthetic.write(tmp_path)
    job = tmp_path, freeze(tmp_path, synthetic.manifest())
    with writer(job) as out:
        assert out.retry(1).size == 0
        assert out.retry(0).tolist() == [3, 7]
        out.add(synthetic.rows([3], failed=()))
    assert synthetic.contents(tmp_path)["shards/000/0000000.h5"] == unbroken["shards/000/0000000.h5"]
    with writer(job) as out:
        assert out.retry(0).tolist() == [7]  # 3 was saved in a part
        out.add(synthetic.rows([7], failed={7}))
    rows = Ledger(*job).rows(0)
    assert [failure.index for failure in rows.failures] == [7]
    assert rows.columns["index"].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert verify(tmp_path).problems == []
    assert part_paths(tmp_path, 0) == []


def test_a_damaged_shard_is_refused_by_retry_and_replaced_by_repair(tmp_path, unbroken):
    synthetic.write(tmp_path)
    job = tmp_path, freeze(tmp_path, synthetic.manifest())
    path = tmp_path / "shards/000/0000000.h5"
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    with writer(job) as out:
        with pytest.raises(StoreError, match="damaged"):
            out.retry(0)
        assert out.repair(0).tolist() == list(range(10))
        out.add(synthetic.rows(range(10)))
    assert synthetic.contents(tmp_path) == unbroken


def test_an_error_reaches_the_caller(job):
    (job[0] / "shards").write_bytes(b"in the way")
    out = writer(job, seconds=60)
    with pytest.raises(Unwritable, match="shards"):
        for _ in range(100):
            out.add(synthetic.rows(range(10)))
            time.sleep(0.01)
    with pytest.raises(Unwritable, match="shards"):
        out.close()


def test_a_closed_writer_takes_no_more(job):
    out = writer(job)
    out.close()
    out.close()
    with pytest.raises(ValueError, match="closed"):
        out.add(synthetic.rows([0]))


@pytest.mark.parametrize("options", [{"checkpoint_seconds": 0}, {"filter": "zstd"}])
def test_wrong_options_are_refused(job, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Writer(*job, attributes={}, **options)


def test_rows_of_no_image_of_the_run_are_refused(job):
    with writer(job) as out, pytest.raises(ValueError, match="are not all among the run's 50"):
        out.add(synthetic.rows([49, 50]))


def test_a_full_disk_stops_it_and_room_lets_it_go_on(small_disk, unbroken):
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    with pytest.raises(DiskFull, match="are free"):
        synthetic.write(small_disk)
    assert all(not name.endswith(".tmp") for name in synthetic.contents(small_disk))
    (small_disk / "ballast").unlink()
    synthetic.write(small_disk)
    assert synthetic.contents(small_disk) == unbroken
