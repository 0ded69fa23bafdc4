import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.run.job import check_target, prepare_job
from pipeline.run.options import RunOptions
from pipeline.store.schema import fingerprint
from tests.conftest import Compose, Prepare


@pytest.mark.parametrize(
    "argument",
    [
        "n_steps=-5",
        "n_steps=0",
        "n_steps=2.5",
        "n_steps=many",
        "n_steps=true",
        "n_steps=[1,2]",
        "nodes=some",
        "tol=0.01",
        "quadrature=simpson",
        "quadrature=3",
        "baselines=nothing",
        "baselines=[1,2]",
        "baselines={a:1}",
        "multiply_by_inputs=7",
        "batch_size=0",
        "batch_size=2.5",
        "batch_size=all",
        "internal_batch_size=0",
        "internal_batch_size=some",
        "num_workers=-1",
        "seed=-1",
        "seed=x",
        "dtype=float8",
        "dtype=[float32]",
        "engine.prepare=perhaps",
        "output=logits",
        "device=toaster",
        "device=3.5",
        "retry_failed=perhaps",
        "report.images=maybe",
        "store.dtype=int8",
        "store.channels=mean",
        "store.filter=lzf",
        "store.shard_size=0",
        "store.shard_size=some",
        "store.checkpoint_seconds=0",
        "store.checkpoint_seconds=soon",
        "launch.workers=0",
        "data.limit=0",
        "data.limit=some",
        "data.per_class=-1",
        "data.per_class=1.5",
        "data.classes=[n00000000]",
        "data.classes=n02123159",
        "data.classes=[]",
        "data.labels=perhaps",
        "data.max_failed=2",
        "data.max_failed=-1",
        "data.max_failed=few",
        "data.root=7",
        "data.class_map=nowhere.json",
        "data.transform.crop=0",
        "data.transform.crop=[32]",
        "data.transform.crop=big",
        "data.transform.resize=-1",
        "data.transform.resize=[a,b]",
        "data.transform.mean=[0.5]",
        "data.transform.mean=grey",
        "data.transform.std=[0,0,0]",
        "data.transform.interpolation=sharp",
        "model.multi_label=perhaps",
        "target=dog",
        "target=top0",
        "target=top1001",
        "target=1000",
        "target=-1",
        "target=true",
        "target=1.5",
        "target=[]",
        "target=[pred]",
        "target=[1,1000]",
        "target={a:1}",
        "output_dir=7",
    ],
)
def test_value_out_of_range_is_named(job: Prepare, argument: str) -> None:
    name = argument.partition("=")[0].split(".")[-1]
    with pytest.raises(UsageError, match=name) as caught:
        job(argument)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sliding_window_shapes=[3,15]",),
        ("sliding_window_shapes=[3,0,4]",),
        ("sliding_window_shapes=[3,33,4]",),
        ("sliding_window_shapes=wide",),
        ("strides=0",),
        ("strides=[3,8]",),
        ("sliding_window_shapes=[3,4,4]", "strides=[3,5,5]"),
    ],
)
def test_windows_that_do_not_fit_are_named(job: Prepare, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"sliding_window_shapes|strides"):
        job("method=occlusion", *arguments)


@pytest.mark.parametrize("target", ["pred", "top1", "top3", 0, 2, [0], [2, 0, 2]])
def test_target_that_the_network_has(target: Any) -> None:
    check_target(target, 3, np.full(4, -1, np.int32))


def test_target_label_needs_labels(job: Prepare) -> None:
    job("target=label")
    with pytest.raises(UsageError, match="labels=false"):
        job("target=label", "data.labels=false")


def test_labels_are_imagenets_by_wordnet_id(job: Prepare) -> None:
    assert job().labels.tolist() == [282] * 4 + [652] * 4 + [657] * 4
    assert job("data.labels=false").labels.tolist() == [-1] * 12


def test_labels_are_the_sorted_folders_or_the_class_map(job: Prepare, tmp_path: Path) -> None:
    three = ("model.factory=tiny_networks:three", "model.weights=null")
    assert job(*three).labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert job(*three, "data.classes=[n03773504]").labels.tolist() == [2] * 4
    one = ("model.factory=tiny_networks:column", "model.weights=null")
    with pytest.raises(UsageError, match=r"data\.class_map=FILE\.json"):
        job(*one)
    table = {"n02123159": 1, "n03763968": 0, "n03773504": 1}
    (tmp_path / "map.json").write_text(json.dumps(table))
    assert job(*one, f"data.class_map={tmp_path / 'map.json'}").labels.tolist() == [1] * 4 + [0] * 4 + [1] * 4


def test_images_can_be_sampled(job: Prepare) -> None:
    def paths(*arguments: str) -> list[str]:
        index = job(*arguments).index
        return [index.paths[image].decode() for image in range(len(index.paths))]

    assert len(paths()) == 12
    assert paths("data.limit=3") == [f"{folder}/a.jpg" for folder in ("n02123159", "n03763968", "n03773504")]
    assert paths("data.per_class=1") == paths("data.limit=3")
    assert paths("data.classes=[n03773504]", "data.per_class=2") == ["n03773504/a.jpg", "n03773504/b.jpg"]


def test_default_folder_is_named_by_content(
    compose: Compose, tiny: list[str], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(*arguments: str) -> Path:
        return prepare_job(RunOptions.from_config(*compose(*tiny, *arguments))).run

    assert folder() == folder("batch_size=2")
    assert folder() != folder("n_steps=51")
    method, model, data, digest = folder().name.split("-")
    assert (folder().parent, method, model, data) == (Path("outputs"), "ig", "checkpoint", dataset.name)
    assert fingerprint(prepare_job(RunOptions.from_config(*compose(*tiny))).identity).startswith(digest)
    monkeypatch.chdir(dataset.parent)
    assert folder(f"data.root={dataset.name}/") == folder()
