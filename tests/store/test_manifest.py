import io
import multiprocessing
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.data.image_paths import ImagePaths
from pipeline.errors import StoreError, UsageError
from pipeline.store.checksum import append_checksum
from pipeline.store.hdf5 import LIBVER
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import SCHEMA_VERSION
from tests.store import synthetic


def test_a_frozen_manifest_is_read_back_unchanged(tmp_path):
    given = synthetic.manifest()
    for manifest in (freeze_manifest(tmp_path, given), Manifest.open(tmp_path)):
        assert list(manifest.paths) == list(given.paths)
        assert manifest.label.tolist() == given.label.tolist() and manifest.label.dtype == np.int32
        assert manifest.shards.tolist() == given.shards.tolist() and manifest.shards.dtype == np.int64
        for name in ("root", "identity", "class_names", "preprocessing", "fingerprint"):
            assert getattr(manifest, name) == getattr(given, name)
        assert (len(manifest), manifest.n_shards, manifest.range(4)) == (50, 5, (40, 50))
        assert pickle.loads(pickle.dumps(manifest)).paths[7] == given.paths[7]


def test_paths_are_raw_bytes(tmp_path):
    names = [b"a\xff\xfe/b.png", "ä/ß.png".encode(), b"new\nline/x.png"]
    given = synthetic.manifest()
    odd = Manifest(
        root=b"/d\xff",
        paths=ImagePaths.from_bytes(names),
        label=np.full(3, -1, np.int32),
        shards=np.array([0, 3]),
        identity=given.identity,
        class_names=[],
        preprocessing={},
    )
    manifest = freeze_manifest(tmp_path, odd)
    assert list(manifest.paths) == names
    assert os.fsencode(manifest.path(0)) == b"/d\xff/a\xff\xfe/b.png"


def test_paths_are_memory_mapped(tmp_path):
    manifest = freeze_manifest(tmp_path, synthetic.manifest())
    mapped = manifest.paths.blob
    while not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert Path(mapped.filename) == tmp_path / "manifest.h5"


def test_an_image_is_found_by_its_path(tmp_path):
    manifest = freeze_manifest(tmp_path, synthetic.manifest())
    assert all(manifest.paths.find(path) == image for image, path in enumerate(manifest.paths))
    assert manifest.paths.find(b"class0/image") is None
    assert manifest.paths.find(b"image0000.png") is None
    assert manifest.paths.find(b"") is None


def test_the_first_start_decides_the_shards(tmp_path):
    freeze_manifest(tmp_path, synthetic.manifest(shard_size=10))
    assert freeze_manifest(tmp_path, synthetic.manifest(shard_size=7)).n_shards == 5


def test_another_job_is_refused_with_the_differences(tmp_path):
    freeze_manifest(tmp_path, synthetic.manifest())
    with pytest.raises(StoreError, match=r"\(n_steps: 50 in the folder, 200 requested\).*output_dir") as caught:
        freeze_manifest(tmp_path, synthetic.manifest(n_steps=200))
    assert "preprocessing" not in str(caught.value)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no manifest\.h5"):
        Manifest.open(tmp_path)


def test_shards_must_cover_the_images(tmp_path):
    given = synthetic.manifest()
    for shards in ([0, 10, 49], [1, 50], [0, 20, 20, 50]):
        with pytest.raises(ValueError, match="shards"):
            Manifest(**{**vars(given), "shards": np.array(shards)})


@pytest.mark.parametrize("edit", ["cut", "identity", "path", "empty"])
def test_damage_is_refused_by_name(tmp_path, edit):
    freeze_manifest(tmp_path, synthetic.manifest())
    path = tmp_path / "manifest.h5"
    data = path.read_bytes()
    edited = {
        "cut": data[:-100],
        "identity": data.replace(b'"n_steps":50', b'"n_steps":51'),
        "path": data.replace(b"image0007", b"image0008"),
        "empty": b"",
    }
    path.write_bytes(edited[edit])
    with pytest.raises(StoreError, match=r"manifest\.h5 is damaged"):
        Manifest.open(tmp_path).paths[7]


def test_a_manifest_of_an_older_version_is_read(tmp_path):
    given = synthetic.manifest()
    with (
        h5py.File(io.BytesIO(b"".join(given.encode())), "r") as new,
        h5py.File(stream := io.BytesIO(), "w", libver=LIBVER) as old,
    ):
        for key in set(new) - {"digests"}:
            old[key] = new[key][...]
        old.attrs.update(new.attrs)
    data = append_checksum(memoryview(stream.getvalue()))
    (tmp_path / "manifest.h5").write_bytes(data)
    assert list(Manifest.open(tmp_path).paths) == list(given.paths)
    (tmp_path / "manifest.h5").write_bytes(data.replace(b"image0007", b"image0008"))
    with pytest.raises(StoreError, match=r"manifest\.h5 is damaged"):
        Manifest.open(tmp_path)


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.manifest.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    (tmp_path / "manifest.h5").write_bytes(b"".join(synthetic.manifest().encode()))
    with pytest.raises(StoreError, match="store schema 4, this version reads up to 3"):
        Manifest.open(tmp_path)


def _start(run: Path, barrier, shard_size: int, n_steps: int, results) -> None:
    given = synthetic.manifest(shard_size, n_steps=n_steps)
    barrier.wait()
    try:
        results.put((n_steps, freeze_manifest(run, given).n_shards))
    except StoreError as error:
        results.put((n_steps, str(error)))


def _race(run: Path, starts: list[tuple[int, int]]) -> list[tuple[int, object]]:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(len(starts)), context.Queue()
    workers = [context.Process(target=_start, args=(run, barrier, *start, results)) for start in starts]
    for worker in workers:
        worker.start()
    results_of_all = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    return results_of_all


def test_concurrent_starts_agree_on_one_manifest(tmp_path):
    results = _race(tmp_path, [(5, 50), (10, 50), (25, 50)])
    assert len({shards for _, shards in results}) == 1
    assert Manifest.open(tmp_path).n_shards == results[0][1]


def test_of_two_concurrent_jobs_one_is_refused(tmp_path):
    results = dict(_race(tmp_path, [(10, 50), (10, 60)]))
    winner = Manifest.open(tmp_path).identity["n_steps"]
    loser = 110 - winner
    assert results[winner] == 5
    assert f"n_steps: {winner} in the folder, {loser} requested" in results[loser]
