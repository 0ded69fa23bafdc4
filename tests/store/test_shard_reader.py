from pathlib import Path

import h5py
import pytest

import pipeline
from pipeline.errors import StoreError
from pipeline.store import shard_reader
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from tests.store import synthetic


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    synthetic.write(run, targets=2, shard_size=5)
    return run


@pytest.fixture
def run(folder):
    return pipeline.open_run(folder)


def test_few_files_are_open_at_a_time(folder, monkeypatch):
    opened, closed = [], []
    original = h5py.File

    class Counted(original):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            opened.append(id(self))

        def __del__(self):
            closed.append(id(self))

    monkeypatch.setattr(shard_reader.h5py, "File", Counted)
    run = pipeline.open_run(folder)
    for _ in range(2):
        kept = [(explanation, explanation.score) for explanation in run]
    assert len(opened) > shard_reader._OPEN_FILES
    assert len(opened) - len(closed) <= shard_reader._OPEN_FILES
    assert [explanation.score for explanation, _ in kept] == [score for _, score in kept]


def test_each_shard_is_verified_once(folder, monkeypatch):
    checked, check = [], Ledger.verify_checksum
    monkeypatch.setattr(
        Ledger, "verify_checksum", lambda self, shard, local: (checked.append(shard), check(self, shard, local))
    )
    run = pipeline.open_run(folder)
    for _ in range(2):
        assert len(list(run.where(correct=True))) and run.table()
        assert [explanation.score for explanation in run]
    assert sorted(checked) == list(range(10))


def test_a_flipped_byte_is_refused_by_name(tmp_path):
    synthetic.write(tmp_path)
    path = tmp_path / "shards/000/0000002.h5"
    data = bytearray(path.read_bytes())
    data[data.index(Ledger(tmp_path, Manifest.open(tmp_path)).rows(2).columns["score"].tobytes())] ^= 1
    path.write_bytes(data)
    run = pipeline.open_run(tmp_path)
    assert run[0].score == 0
    with pytest.raises(StoreError, match=r"0000002\.h5 is damaged.*sha256"):
        run.where(correct=True).table()
    unchecked = pipeline.open_run(tmp_path, verify=False)
    with pytest.raises(StoreError, match=r"0000002\.h5 is damaged: score"):
        unchecked.table()
    assert len([explanation.target for explanation in unchecked]) == 43


def test_a_newer_shard_is_one_clear_line(tmp_path):
    synthetic.write(tmp_path)
    with h5py.File(tmp_path / "shards/000/0000000.h5", "r+") as file:
        file.attrs["schema_version"] = 7
    with pytest.raises(StoreError, match=r"0000000\.h5 has store schema 7, this version reads up to 3"):
        _ = pipeline.open_run(tmp_path, verify=False)[0].map


def test_a_missing_summary_is_no_error(tmp_path, caplog):
    synthetic.write(tmp_path)
    (tmp_path / "shards/000/0000000.json").unlink()
    run = pipeline.open_run(tmp_path)
    assert (len(run), run[3].index) == (43, 4)
    assert "0000000.h5 has no summary yet" in caplog.text


@pytest.mark.parametrize("geometry", [{"shape": [3, 10**6, 10**6]}, {"kind": "spiral"}, {"shape": "large"}, {"x": 1}])
def test_an_impossible_geometry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: dict[str, object]
) -> None:
    monkeypatch.setitem(synthetic.ATTRIBUTES, "geometry", {**synthetic.GEOMETRY, **geometry})
    synthetic.write(tmp_path)
    with pytest.raises(StoreError, match="damaged"):
        _ = pipeline.open_run(tmp_path)[3].map
