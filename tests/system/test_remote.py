"""Images and runs in an object store: a local S3 server (moto), over HTTP."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

import pipeline
from pipeline.data.image_index import index_folder
from pipeline.errors import MissingExtra, StoreError, UsageError
from pipeline.store.atomic import atomic_write, publish
from pipeline.store.verify import verify
from pipeline.system.remote import to_path
from tests.commands import Command
from tests.conftest import Status

EXACT = ["dtype=float64", "store.dtype=float64", "n_steps=3", "store.shard_size=2"]


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    """Start a local S3 server; the environment variables of its clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}
        process.kill()


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Create a bucket for the test; its address."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(name)
    return f"s3://{name}"


def upload(folder: Path, address: str) -> None:
    for path in sorted(folder.rglob("*.*")):
        place = to_path(f"{address}/{path.relative_to(folder)}")
        atomic_write(path.read_bytes(), place)


def test_an_object_is_put_once(bucket: str) -> None:
    place = to_path(f"{bucket}/a/b/file")
    assert publish(b"first", place)
    assert not publish([memoryview(b"sec"), memoryview(b"ond")], place)
    assert place.read_bytes() == b"first"
    atomic_write(b"third", place)
    assert place.read_bytes() == b"third"
    with pytest.raises(StoreError, match="no-such-bucket/x cannot be put"):
        publish(b"", to_path("s3://no-such-bucket/x"))


def test_the_same_images_in_the_same_order(bucket: str, tmp_path: Path, dataset: Path) -> None:
    upload(dataset, f"{bucket}/photos")
    (tmp_path / "x").write_bytes(b"")
    for name in (".hidden/a.jpg", "n02123159/.b.jpg", "n02123159/notes.txt", "c.jpg"):
        atomic_write(b"", to_path(f"{bucket}/photos/{name}"))
    here, there = index_folder(dataset), index_folder(f"{bucket}/photos")
    assert (list(there.paths), there.folders, there.folder.tolist()) == (
        list(here.paths), here.folders, here.folder.tolist(),
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"cannot list|no class folders"):
        index_folder(f"{bucket}/nothing")


@pytest.mark.slow
def test_a_run_in_an_object_store_killed_and_resumed_is_the_local_one(
    bucket: str, server: dict[str, str], explain: Status, tiny: list[str], dataset: Path, tmp_path: Path
) -> None:
    assert explain(*EXACT, "n_steps=400") == 0
    upload(dataset, f"{bucket}/photos")
    run = f"{bucket}/runs/one"
    there = [*tiny, *EXACT, "n_steps=400", f"data.root={bucket}/photos", "num_workers=1", f"output_dir={run}"]
    shards = to_path(f"{run}/shards")
    first = Command(there, tmp_path, environment=server)
    while first.running and not list(shards.glob("*/*.h5")):
        time.sleep(0.02)
    first.send(signal.SIGKILL)
    assert first.wait().status == -signal.SIGKILL
    assert 0 < len(list(shards.glob("*/*.h5"))) < 6
    second = Command(there, tmp_path, environment=server).wait(300)
    assert second.status == 0, second.err
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    local, remote = pipeline.open_run(tmp_path / "run"), pipeline.open_run(run)
    mine, theirs = local.table(), remote.table()
    assert theirs["index"].tolist() == list(range(12))
    for name in set(mine) - {"path", "label_name", "target_name", "predicted_name"}:
        np.testing.assert_allclose(theirs[name], mine[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for one, other in zip(local, remote, strict=True):
        np.testing.assert_allclose(other.map, one.map, rtol=1e-6, atol=1e-9)
    assert remote[3].photograph().tobytes() == local[3].photograph().tobytes()
    assert str(remote[3].path) == f"{bucket}/photos/n02123159/d.jpg"
    assert remote.where(path=f"{bucket}/photos/n02123159/d.jpg")[0].index == 3
    assert to_path(f"{run}/report/index.html").read_text().count("data:image") > 3
    assert "another process was at work" not in to_path(f"{run}/run.log").read_text()
    assert verify(to_path(run)).is_intact
    before = {path.name: path.stat().st_mtime for path in shards.glob("*/*.h5")}
    assert Command(there, tmp_path, environment=server).wait(300).status == 0
    assert {path.name: path.stat().st_mtime for path in shards.glob("*/*.h5")} == before


@pytest.mark.slow
def test_two_starters_in_an_object_store_store_each_image_once(
    bucket: str, server: dict[str, str], explain: Status, tiny: list[str], tmp_path: Path
) -> None:
    assert explain(*EXACT) == 0
    run = f"{bucket}/run"
    there = [*tiny, *EXACT, "batch_size=1", "report.images=false", f"output_dir={run}"]
    starters = [Command(there, tmp_path, environment=server) for _ in range(2)]
    assert [starter.wait(300).status for starter in starters] == [0, 0]
    assert verify(to_path(run)).is_intact and not list(to_path(run).glob("shards/*/*.part"))
    local, remote = pipeline.open_run(tmp_path / "run"), pipeline.open_run(run)
    assert remote.table()["index"].tolist() == list(range(12))
    for one, other in zip(local, remote, strict=True):
        np.testing.assert_allclose(other.map, one.map, rtol=1e-6, atol=1e-9)


def test_what_is_wrong_elsewhere(bucket: str, explain: Status, dataset: Path) -> None:
    upload(dataset, f"{bucket}/photos")
    atomic_write(b"no image", to_path(f"{bucket}/photos/n02123159/b.jpg"))
    run = f"{bucket}/run"
    arguments = [*EXACT, f"data.root={bucket}/photos", f"output_dir={run}"]
    assert explain(*arguments) == 3
    failures = list(pipeline.open_run(run).failures())
    assert [(failure.index, failure.stage) for failure in failures] == [(1, "read")]
    assert "b.jpg" in to_path(f"{run}/failures.jsonl").read_text()
    shard = to_path(f"{run}/shards/000/0000003.h5")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    atomic_write(bytes(data), shard)
    with pytest.raises(StoreError, match=r"s3://.*0000003\.h5 is damaged"):
        pipeline.open_run(run).table()
    with pytest.raises(StoreError, match=r"is the folder of another job \(n_steps: 3 in the folder, 4 requested\)"):
        explain(*arguments, "n_steps=4")
    atomic_write((dataset / "n02123159/b.jpg").read_bytes(), to_path(f"{bucket}/photos/n02123159/b.jpg"))
    atomic_write(bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]), shard)
    assert explain(*arguments, "retry_failed=true") == 0


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtra, match=r"pip install 'image-attribution-pipeline\[remote\]'"):
        to_path("memory://run")
    with pytest.raises(UsageError, match="no-such-scheme"):
        to_path("no-such-scheme://run")
