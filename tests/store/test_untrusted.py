"""A run's folder from a stranger: nothing outside of it is read, and nothing is believed of sizes."""

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
from pipeline.data.image_paths import ImagePaths
from pipeline.errors import StoreError
from pipeline.store.ledger import Ledger
from pipeline.store.manifest import Manifest, freeze
from pipeline.store.shard import decode, seal
from pipeline.store.shard_summary import seal_summary, unseal_summary
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
def test_a_shard_that_leads_elsewhere_or_claims_too_much(run: Path, tmp_path: Path, change: Change) -> None:
    path = run / "shards/000/0000001.h5"
    with h5py.File(path, "r+") as file:
        del file["score"]
        change(file, tmp_path)
    summary = unseal_summary(path.with_suffix(".json").read_bytes())
    ledger = Ledger(run, Manifest.open(run))
    data = path.read_bytes()
    stranger = {**summary, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.with_suffix(".json").write_bytes(seal_summary(stranger))  # a stranger knows how to seal
    tracemalloc.start()
    opened = pipeline.open_run(run)
    with pytest.raises(StoreError, match=r"0000001\.h5 is damaged: .*score"):
        opened.where(path="class0/image0010.png").table()
    with pytest.raises(StoreError, match=r"0000001\.h5 is damaged: .*score"):
        ledger.rows(1)
    with pytest.raises(StoreError, match=r"score"), path.open("rb") as file:
        decode(file, path)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("geometry", [{"shape": [3, 10**6, 10**6]}, {"kind": "spiral"}, {"shape": "large"}, {"x": 1}])
def test_a_geometry_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: dict[str, object]
) -> None:
    monkeypatch.setitem(synthetic.ATTRIBUTES, "geometry", {**synthetic.GEOMETRY, **geometry})
    synthetic.write(tmp_path)
    with pytest.raises(StoreError, match="damaged"):
        _ = pipeline.open_run(tmp_path)[3].map


@pytest.mark.parametrize("name", [b"/etc/passwd.png", b"../up.png", b"a/../../up.png", b"a/.."])
def test_a_manifest_that_leaves_its_root(tmp_path: Path, name: bytes) -> None:
    names = [name, *(b"%d.png" % number for number in range(1, 50))]
    evil = Manifest(**{**vars(synthetic.manifest()), "paths": ImagePaths.from_bytes(names)})
    with pytest.raises(StoreError, match="outside of their root"):
        freeze(tmp_path, evil).paths[9]


def test_names_with_dots_stay(tmp_path: Path) -> None:
    names = [b"..a/..b.png", b"a./...png", *(b"%d.png" % number for number in range(2, 50))]
    found = freeze(tmp_path, Manifest(**{**vars(synthetic.manifest()), "paths": ImagePaths.from_bytes(names)}))
    assert list(found.paths) == names


@pytest.mark.parametrize("offsets", [[0, 5, 4], [0, 0, 9], [1, 5, 9], [0, 5, 8]])
def test_a_manifest_whose_paths_overlap(tmp_path: Path, offsets: list[int]) -> None:
    fields = vars(synthetic.manifest()) | {"label": np.zeros(2, np.int32), "shards": np.array([0, 2])}
    evil = Manifest(**{**fields, "paths": ImagePaths(np.frombuffer(b"a.pngb.gi", np.uint8), np.array(offsets))})
    with pytest.raises(StoreError, match=r"do not follow one another|is damaged"):
        freeze(tmp_path, evil).paths[1]


@pytest.mark.parametrize("name", ["paths", "root", "shards", "offsets", "label"])
def test_a_manifest_that_claims_what_it_has_not(tmp_path: Path, name: str) -> None:
    with (
        h5py.File(io.BytesIO(b"".join(synthetic.manifest().encode())), "r") as given,
        h5py.File(stream := io.BytesIO(), "w", libver=("v110", "v110")) as file,
    ):
        for key in given:
            if key == name:
                file.create_dataset(key, (ROWS,), given[key].dtype)
            else:
                file[key] = given[key][...]
        file.attrs.update(given.attrs)
    (tmp_path / "manifest.h5").write_bytes(seal(memoryview(stream.getvalue())))
    with pytest.raises(StoreError, match=rf"manifest\.h5 is damaged: {name} claims"):
        Manifest.open(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link"])
@pytest.mark.parametrize("name", ["shards/000/0000001.h5", "shards/000/0000001.json", "manifest.h5"])
def test_what_is_no_plain_file_is_not_opened(run: Path, tmp_path: Path, kind: str, name: str) -> None:
    path = run / name
    path.unlink()
    make = {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": Path.mkdir,
        "link": lambda path: path.symlink_to(tmp_path / "secret.h5"),
    }
    make[kind](path)
    with pytest.raises(StoreError, match=r"is no plain file|leads out of the run's folder"):
        pipeline.open_run(run).table()
