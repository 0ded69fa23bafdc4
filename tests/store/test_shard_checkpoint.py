"""Checkpoints of unfinished shards: what a killed process leaves, and what the next one makes of it."""

import pytest

from pipeline.store.manifest import freeze_manifest
from pipeline.store.shard import encode_rows
from pipeline.store.shard_checkpoint import (
    all_checkpoints,
    checkpoint_paths,
    is_damaged,
    load_checkpoints,
    save_checkpoint,
)
from pipeline.store.writer import Writer
from tests.store import synthetic


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


def encoded(job, shard: int, rows) -> memoryview:
    attributes = {"fingerprint": job[1].fingerprint, "image_range": list(job[1].range(shard))}
    return encode_rows(rows, {**synthetic.ATTRIBUTES, **attributes})


def test_saved_rows_are_restored(job):
    run, manifest = job
    for images in ([10, 12], [11, 14]):
        rows = synthetic.rows(images)
        save_checkpoint(run, 1, rows.images, encoded(job, 1, rows))
    assert [path.name for path in checkpoint_paths(run, 1)] == ["0000001.rows-10-12.part", "0000001.rows-11-14.part"]
    assert [shard for shard, _ in all_checkpoints(run)] == [1, 1]
    restored = load_checkpoints(run, manifest, 1)
    assert [rows.images.tolist() for rows in restored] == [[10, 12], [11, 14]]
    assert load_checkpoints(run, manifest, 2) == []


def test_rows_of_another_shard_are_refused(job, caplog):
    run, manifest = job
    rows = synthetic.rows([10, 12])
    save_checkpoint(run, 2, rows.images, encoded(job, 1, rows))
    assert load_checkpoints(run, manifest, 2) == []
    assert checkpoint_paths(run, 2) == [] and "not of this run: removed" in caplog.text


def test_damage_is_found(job):
    run, _ = job
    rows = synthetic.rows([0])
    save_checkpoint(run, 0, rows.images, encoded(job, 0, rows))
    (path,) = checkpoint_paths(run, 0)
    assert not is_damaged(path, run)
    path.write_bytes(path.read_bytes()[:-1])
    assert is_damaged(path, run)


def test_a_resumed_run_computes_only_images_without_a_checkpoint(job, unbroken):
    run, _ = job
    with writer(job, seconds=60) as out:
        out.add(synthetic.rows([0, 1, 2, 3, 12, 15]))
    assert [path.name for path in checkpoint_paths(run, 0)] == ["0000000.rows-0-3.part"]
    assert [path.name for path in checkpoint_paths(run, 1)] == ["0000001.rows-12-15.part"]
    with writer(job, seconds=60) as out:
        assert out.restore(0).tolist() == [4, 5, 6, 7, 8, 9]
        assert out.restore(1).tolist() == [10, 11, 13, 14, 16, 17, 18, 19]
        assert out.restore(2).tolist() == list(range(20, 30))
        out.add(synthetic.rows([4, 5]))
    assert [path.name for path in checkpoint_paths(run, 0)] == ["0000000.rows-0-3.part", "0000000.rows-4-5.part"]
    synthetic.write(run)
    assert synthetic.contents(run) == unbroken


def test_a_shard_that_its_checkpoints_complete_is_published(job, unbroken):
    run, _ = job
    with writer(job) as out:
        out.add(synthetic.rows(range(9)))
    data = checkpoint_paths(run, 0)[0].read_bytes()
    with writer(job) as out:
        out.add(synthetic.rows([9]))
    (run / "shards/000/0000000.rows-0-8.part").write_bytes(data)
    with writer(job) as out:
        assert out.restore(0).size == 0
    assert (run / "shards/000/0000000.h5").read_bytes() == unbroken["shards/000/0000000.h5"]
    assert checkpoint_paths(run, 0) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_images_of_a_damaged_checkpoint_are_computed_again(job, unbroken, caplog, damage):
    run, _ = job
    with writer(job) as out:
        out.add(synthetic.rows([0, 1, 2]))
        out.add(synthetic.rows([10, 11]))
    first, second = checkpoint_paths(run, 0)[0], checkpoint_paths(run, 1)[0]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes({"flip": data, "cut": data[:99], "empty": b"", "foreign": second.read_bytes()}[damage])
    with writer(job) as out:
        assert out.restore(0).tolist() == list(range(10))
        assert out.restore(1).tolist() == list(range(12, 20))
    assert "0000000.rows-0-2.part is damaged" in caplog.text
    synthetic.write(run)
    assert synthetic.contents(run) == unbroken


def test_a_checkpoint_that_vanishes_is_skipped(job, monkeypatch):
    with writer(job) as out:
        out.add(synthetic.rows([0, 1]))
    path = checkpoint_paths(job[0], 0)[0]
    path.unlink()
    monkeypatch.setattr("pipeline.store.shard_checkpoint.checkpoint_paths", lambda run, shard: [path])
    with writer(job) as out:
        assert out.restore(0).tolist() == list(range(10))
