"""An untrusted shard or manifest: no other file is read, and no memory is allocated for the sizes that it claims."""

import hashlib
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import pipeline
from pipeline.errors import StoreError
from pipeline.store.checksum import append_checksum
from pipeline.store.hdf5 import LIBVER, open_dataset
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest
from pipeline.store.shard import decode_rows
from pipeline.store.shard_summary import decode_summary, encode_summary
from tests.store import synthetic

Change = Callable[[h5py.File, Path], None]
ROWS = 10**12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    synthetic.write(folder, failed=())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["score"] = np.full(10, 42, np.float32)
    (tmp_path / "secret.raw").write_bytes(np.full(10, 42, np.float32).tobytes())
    return folder


def external(file: h5py.File, outside: Path) -> None:
    file["score"] = h5py.ExternalLink(outside / "secret.h5", "score")


def soft(file: h5py.File, outside: Path) -> None:
    file["score"] = h5py.SoftLink("/index")


def virtual(file: h5py.File, outside: Path) -> None:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource(outside / "secret.h5", "score", (10,))
    file.create_virtual_dataset("score", layout)


def raw(file: h5py.File, outside: Path) -> None:
    file.create_dataset("score", (10,), "f4", external=[(os.fsencode(outside / "secret.raw"), 0, 40)])


def claim(file: h5py.File, outside: Path) -> None:
    file.create_dataset("score", (ROWS,), "f4", chunks=(1000,), fletcher32=True)


def deflated_claim(file: h5py.File, outside: Path) -> None:
    score = file.create_dataset("score", (ROWS,), "f4", chunks=(1000,), compression="gzip")
    score[:1000] = 1


def contiguous_claim(file: h5py.File, outside: Path) -> None:
    file.create_dataset("score", (ROWS,), "f4")


def objects(file: h5py.File, outside: Path) -> None:
    file.create_dataset("score", data=["x"] * 10, dtype=h5py.string_dtype())


def group(file: h5py.File, outside: Path) -> None:
    file.create_group("score")


def another_filter(file: h5py.File, outside: Path) -> None:
    file.create_dataset("score", data=np.ones(10, np.float32), chunks=(10,), compression="lzf")


CHANGES = [external, soft, virtual, raw, claim, deflated_claim, contiguous_claim, objects, group, another_filter]


@pytest.mark.parametrize("change", CHANGES)
def test_a_shard_that_leads_to_another_file_or_claims_too_much(run: Path, tmp_path: Path, change: Change) -> None:
    path = run / "shards/000/0000001.h5"
    with h5py.File(path, "r+") as file:
        del file["score"]
        change(file, tmp_path)
    summary = decode_summary(path.with_suffix(".json").read_bytes())
    ledger = Ledger(run, Manifest.open(run))
    data = path.read_bytes()
    forged = {**summary, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.with_suffix(".json").write_bytes(encode_summary(forged))  # anyone can compute a valid checksum
    tracemalloc.start()
    opened = pipeline.open_run(run)
    with pytest.raises(StoreError, match=r"0000001\.h5 is damaged: .*score"):
        opened.where(path="class0/image0010.png").table()
    with pytest.raises(StoreError, match=r"0000001\.h5 is damaged: .*score"):
        ledger.rows(1)
    with pytest.raises(StoreError, match=r"score"), path.open("rb") as file:
        decode_rows(file, path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["paths", "root", "shards", "offsets", "label"])
def test_a_manifest_that_claims_more_than_it_has(tmp_path: Path, name: str) -> None:
    with (
        h5py.File(io.BytesIO(b"".join(synthetic.manifest().encode())), "r") as given,
        h5py.File(stream := io.BytesIO(), "w", libver=LIBVER) as file,
    ):
        for key in given:
            if key == name:
                file.create_dataset(key, (ROWS,), given[key].dtype)
            else:
                file[key] = given[key][...]
        file.attrs.update(given.attrs)
    (tmp_path / "manifest.h5").write_bytes(append_checksum(memoryview(stream.getvalue())))
    with pytest.raises(StoreError, match=rf"manifest\.h5 is damaged: {name} claims"):
        Manifest.open(tmp_path)


def test_a_dataset_of_the_file_itself_is_opened(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("zeros", data=np.zeros(100_000, np.float32), chunks=(10_000,), compression="gzip")
        assert open_dataset(file, "zeros", ("float32",)).shape == (100_000,), "1000 to 1 is no false claim"
        with pytest.raises(ValueError, match="zeros is float32, expected int32 or int64"):
            open_dataset(file, "zeros", ("int32", "int64"))
        with pytest.raises(ValueError, match="missing is a link"):
            open_dataset(file, "missing", ("float32",))
