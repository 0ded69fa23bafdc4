"""The identity of a run covers what decides its numbers; additions leave the identity of older runs unchanged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.image_index import ImageIndex
from pipeline.data.image_paths import ImagePaths
from pipeline.run import identity
from pipeline.run.identity import image_list_sha256
from pipeline.run.job import prepare_job
from pipeline.run.loop import freeze_run
from pipeline.run.options import RunOptions
from pipeline.store.manifest import Manifest
from pipeline.store.schema import fingerprint
from tests.conftest import Compose, Prepare


@pytest.mark.parametrize(
    "argument",
    [
        "n_steps=51",
        "quadrature=riemann_left",
        "baselines=black",
        "multiply_by_inputs=false",
        "target=label",
        "output=probability",
        "seed=1",
        "dtype=float64",
        "store.dtype=float32",
        "store.channels=keep",
        "store.features=true",
        "data.limit=11",
        "data.labels=false",
        "data.transform.crop=31",
        "data.transform.resize=33",
        "model.weights=null",
        "model.multi_label=true",
        "method=saliency",
    ],
)
def test_fingerprint_covers_what_decides_the_numbers(job: Prepare, argument: str) -> None:
    assert fingerprint(job(argument).identity) != fingerprint(job().identity)


@pytest.mark.parametrize(
    "argument",
    [
        "batch_size=3",
        "internal_batch_size=7",
        "num_workers=1",
        "device=auto",
        "retry_failed=true",
        "store.shard_size=3",
        "store.checkpoint_seconds=1",
        "store.filter=gzip",
        "launch.workers=3",
        "data.max_failed=1",
        "report.images=false",
        "data.limit=99",
        "engine=dense",
        "engine.compile=aot_eager",
    ],
)
def test_fingerprint_leaves_out_what_does_not(job: Prepare, argument: str) -> None:
    assert fingerprint(job(argument).identity) == fingerprint(job().identity)


def test_fingerprint_covers_the_content_of_a_baselines_picture(job: Prepare, tmp_path: Path) -> None:
    picture = tmp_path / "absent.png"
    identities = []
    for colour in ("black", "white"):
        Image.new("RGB", (32, 32), colour).save(picture)
        identities.append(job(f"baselines={picture}").identity)
    assert fingerprint(identities[0]) != fingerprint(identities[1])


def test_an_added_option_enters_the_identity_only_off_its_default(
    job: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = job().identity
    added = {"store.features": False, "ig.tol": 0.05, "seed": 0, "preprocessing.interpolation": "bilinear"}
    monkeypatch.setattr(identity, "ADDED", added)
    left_out = {"store.features", "tol", "seed"}
    preprocessing = {key: value for key, value in before["preprocessing"].items() if key != "interpolation"}
    kept = {key: value for key, value in before.items() if key not in left_out}
    assert job().identity == {**kept, "preprocessing": preprocessing}
    changed = job("store.features=true", "tol=0.1", "n_steps=auto", "seed=3").identity
    assert {name: changed[name] for name in left_out} == {"store.features": True, "tol": 0.1, "seed": 3}


def test_an_added_option_of_a_method_concerns_no_other_method(job: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    before = job("method=saliency").identity
    monkeypatch.setattr(identity, "ADDED", {"ig.abs": True})
    assert job("method=saliency").identity == before


def test_false_is_not_zero(job: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ADDED", {"store.features": 0})
    assert job().identity["store.features"] is False


def test_a_run_keeps_the_schema_number_of_its_first_start(
    compose: Compose, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the default folder, whose name has the number in its digest, and accepted by an explicit one."""

    def frozen(*arguments: str) -> tuple[Path, bool]:
        job = prepare_job(RunOptions.from_config(*compose(*tiny, "data.limit=1", *arguments)))
        _, first = freeze_run(job)
        return job.run, first

    monkeypatch.chdir(tmp_path)
    run, first = frozen()
    assert first
    monkeypatch.setattr(identity, "SCHEMA_OF_IDENTITY", 4)
    monkeypatch.setattr(identity, "EARLIER_SCHEMAS", (3,))
    assert frozen() == frozen(f"output_dir={run}") == (run, False)
    assert Manifest.open(run).identity["schema"] == 3
    other, first = frozen("n_steps=51")
    assert first and Manifest.open(other).identity["schema"] == 4


def test_the_list_of_images_has_its_order_paths_and_labels() -> None:
    def digest(paths: list[bytes], labels: list[int]) -> str:
        index = ImageIndex(ImagePaths.from_bytes(paths), np.zeros(len(paths), np.int32), ["folder"])
        return image_list_sha256(index, np.array(labels, np.int32))

    lists = [([b"a", b"b"], [0, 1]), ([b"b", b"a"], [0, 1]), ([b"a", b"b"], [1, 0]), ([b"ab", b""], [0, 1])]
    assert len({digest(*one) for one in lists}) == 4 and digest(*lists[0]) == digest(*lists[0])
