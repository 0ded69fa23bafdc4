import hashlib
import io

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.report.derived_files import finish
from pipeline.store import ledger as module
from pipeline.store.atomic import atomic_write
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.run_files import shard_path
from pipeline.store.shard import decode_rows, encode_rows
from tests.store import synthetic


@pytest.fixture
def run(tmp_path):
    synthetic.write(tmp_path)
    return tmp_path


def test_all_shards_of_a_new_run_are_pending(tmp_path):
    ledger = Ledger(tmp_path, freeze_manifest(tmp_path, synthetic.manifest(shard_size=5)))
    assert ledger.published() == set()
    assert list(ledger.pending()) == list(range(10))


def test_workers_take_their_own_shards_first_and_then_help(tmp_path):
    ledger = Ledger(tmp_path, freeze_manifest(tmp_path, synthetic.manifest(shard_size=1)))
    order = [list(ledger.pending(worker, 3)) for worker in range(3)]
    for worker in range(3):
        own = list(range(worker, 50, 3))
        assert order[worker][: len(own)] == own
        assert sorted(order[worker]) == list(range(50))
        assert order[worker][len(own) :] != sorted(order[worker][len(own) :])


def test_shards_that_others_publish_meanwhile_are_skipped(run):
    (run / "shards/000/0000001.h5").rename(run / "away")
    (run / "shards/000/0000002.h5").unlink()
    pending = Ledger(run, Manifest.open(run)).pending()
    assert next(pending) == 1
    (run / "away").rename(run / "shards/000/0000001.h5")
    assert list(pending) == [2]


def test_only_files_at_the_path_of_a_shard_count_as_published(run):
    shard = run / "shards/000/0000001.h5"
    for stray in ("000/0000005.h5", "001/0000001.h5", "000/copy.h5", "000/1.h5"):
        (run / "shards" / stray).parent.mkdir(exist_ok=True)
        (run / "shards" / stray).write_bytes(shard.read_bytes())
    assert Ledger(run, Manifest.open(run)).published() == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("place", [10, 2000, -10])
def test_a_flipped_byte_is_refused_before_hdf5_opens_the_file(run, place):
    path = run / "shards/000/0000003.h5"
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    ledger = Ledger(run, Manifest.open(run))
    with pytest.raises(StoreError, match=r"0000003\.h5 is damaged.*sha256.*task\.repair=true"):
        ledger.rows(3)
    assert len(ledger.rows(4)) == 10


def test_a_shard_of_another_job_is_refused(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    freeze_manifest(other, synthetic.manifest(n_steps=60))
    (run / "shards").rename(other / "shards")
    with pytest.raises(StoreError, match=r"0000000\.h5 is not the complete shard 0 of this run"):
        Ledger(other, Manifest.open(other)).rows(0)


def test_only_leftovers_are_removed(run):
    before = synthetic.contents(run)
    folder = run / "shards/000"
    (folder / "0000001.rows-10-12.part").write_bytes(b"")
    (folder / "0000002.json").unlink()
    (folder / ".0000000.h5~host.1~1~0123abcd.tmp").write_bytes(b"")
    (folder / "0000004.h5").unlink()
    (folder / "0000004.rows-40-41.part").write_bytes(b"of an unfinished shard")
    finish(run)
    after = synthetic.contents(run)
    assert after.pop("shards/000/0000004.rows-40-41.part") == b"of an unfinished shard"
    assert after.pop("shards/000/.0000000.h5~host.1~1~0123abcd.tmp") == b""  # young, of another host
    assert after == {name: data for name, data in before.items() if not name.endswith("4.h5")}


def other_shard(run) -> memoryview:
    """The bytes of shard 0 after another worker's retry."""
    _, attributes = decode_rows(io.BytesIO((run / "shards/000/0000000.h5").read_bytes()), "")
    return encode_rows(synthetic.rows(range(10), failed=()), attributes)


def test_the_summary_is_of_the_file_that_replaced_the_shard_meanwhile(run, monkeypatch):
    path, data = run / "shards/000/0000000.h5", other_shard(run)
    summarize = module.summarize_shard

    def overtaken(*arguments):
        summary = summarize(*arguments)
        if path.read_bytes() != data:
            atomic_write(data, path)  # another worker, between our reading and our writing
        return summary

    monkeypatch.setattr(module, "summarize_shard", overtaken)
    ledger = Ledger(run, Manifest.open(run))
    ledger.write_summary(0)
    assert ledger.stored_summary(0)["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(ledger.rows(0)) == 10


def test_a_shard_is_readable_while_a_retry_replaces_it(run, monkeypatch):
    path, data = run / "shards/000/0000000.h5", other_shard(run)
    ledger = Ledger(run, Manifest.open(run))
    stored_summary = ledger.stored_summary
    stale = stored_summary(0)
    atomic_write(data, path)
    ledger.write_summary(0)
    results = iter([stale])
    monkeypatch.setattr(ledger, "stored_summary", lambda shard: next(results, None) or stored_summary(shard))
    assert len(ledger.rows(0)) == 10


def test_a_late_process_computes_few_shards_twice(tmp_path):
    """One process takes the shards in order, another comes later at the same speed: both compute few shards."""
    twice = []
    for attempt in range(20):
        manifest = synthetic.manifest(1)
        ledger = Ledger(tmp_path / str(attempt), manifest)
        two, done = [ledger.pending(), ledger.pending(late=True)], []
        while two:
            begun = {one: next(one, None) for one in two}
            two = [one for one, shard in begun.items() if shard is not None]
            done += [begun[one] for one in two]
            for shard in done[-len(two) :] if two else []:
                path = shard_path(ledger.run, shard)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        assert set(done) == set(range(manifest.n_shards))
        twice.append(len(done) - manifest.n_shards)
    assert np.mean(twice) < manifest.n_shards / 5
