import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pipeline
from pipeline.errors import UsageError
from pipeline.methods import InputXGradient, Occlusion
from pipeline.models.checkpoint import load
from tests.conftest import Status
from tests.shards import files, hashes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def broken(dataset: Path, tmp_path: Path) -> Path:
    """The photographs, three of the twelve of them broken."""
    root = tmp_path / "broken"
    shutil.copytree(dataset, root)
    cat = root / "n02123159"
    (cat / "a.jpg").write_bytes((cat / "a.jpg").read_bytes()[:300])
    (cat / "b.jpg").write_text("no photograph")
    (root / "n03763968" / "d.jpg").unlink()
    (root / "n03763968" / "d.jpg").symlink_to("nowhere.jpg")
    return root


def test_maps_are_the_methods_own(explain: Status, folder: Path, networks: Path) -> None:
    """Reading, storing and opening again change nothing in the maps of the method on the preprocessed image."""
    exact = ("dtype=float64", "store.dtype=float64", "store.channels=keep")
    assert explain("method=input_x_gradient", "target=label", *exact) == 0
    run = pipeline.open_run(folder)
    network = load(networks / "tiny.pth", "tiny_networks:build", allow=["tiny_networks"])
    preprocessing = network.with_preprocessing(resize=32, crop=32).preprocessing
    network.module.double()
    for explanation in run:
        pixels = preprocessing(Image.open(explanation.path))[0]
        image = preprocessing.normalize(pixels[None].double() / 255)
        expected = InputXGradient(network.module)(image, explanation.label)[0]
        np.testing.assert_allclose(explanation.map, expected, rtol=1e-5, atol=1e-9)
        logits = network.module(image)[0]
        assert explanation.target == explanation.label
        np.testing.assert_allclose(explanation.score, logits[explanation.label], rtol=1e-5)
        np.testing.assert_allclose(explanation.prediction, logits, rtol=1e-4, atol=1e-5)
    assert [explanation.index for explanation in run] == list(range(12))


def test_occlusion_stores_its_grid_and_the_reader_expands_it(explain: Status, folder: Path) -> None:
    windows = ("sliding_window_shapes=[3,9,9]", "strides=[3,5,5]")
    assert explain("method=occlusion", *windows, "data.limit=2", "store.channels=keep", "store.dtype=float32") == 0
    explanation = pipeline.open_run(folder)[0]
    assert explanation.native.shape == (1, 6, 6) and explanation.map.shape == (3, 32, 32)
    # the method itself, on its own, is compared with Captum elsewhere
    assert Occlusion(torch.nn.Identity(), sliding_window_shapes=(3, 9, 9), strides=(3, 5, 5)).geometry((3, 32, 32))


def test_same_command_again_computes_nothing_and_reports_it(
    explain: Status, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline")
    assert explain("method=saliency") == 0
    assert "12/12 explanations" in caplog.text
    before = files(folder)
    caplog.clear()
    assert explain("method=saliency") == 0
    assert files(folder) == before
    assert "12/12 explanations" in caplog.text and "nothing was left to do" in caplog.text


def test_same_command_twice_gives_equal_bytes(explain: Status, tmp_path: Path) -> None:
    fixed = ("n_steps=5", "batch_size=5", "internal_batch_size=7", "store.shard_size=4")
    for name in ("one", "two"):
        assert explain(*fixed, f"output_dir={tmp_path / name}") == 0
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert len(hashes(tmp_path / "one")) == 6
    for name in ("summary.json", "summary.csv", "failures.jsonl", "manifest.h5"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_maps_do_not_depend_on_batches_workers_and_shards(explain: Status, tmp_path: Path) -> None:
    exact = ("n_steps=5", "dtype=float64", "store.dtype=float64")
    assert explain(*exact, f"output_dir={tmp_path / 'one'}") == 0
    others = ("batch_size=5", "internal_batch_size=3", "store.shard_size=5", "num_workers=1", "store.filter=gzip")
    assert explain(*exact, *others, f"output_dir={tmp_path / 'two'}") == 0
    one, two = (pipeline.open_run(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) == 12
    for first, second in zip(one, two, strict=True):
        assert (first.index, first.target) == (second.index, second.target)
        np.testing.assert_allclose(first.native, second.native, rtol=0, atol=1e-9 * np.abs(first.native).max())


@pytest.mark.parametrize(
    ("target", "targets"),
    [
        ("pred", None),
        ("label", [282] * 4 + [652] * 4 + [657] * 4),
        ("7", [7] * 12),
        ("[5,3,5]", [5, 3, 5] * 12),
        ("top2", None),
    ],
)
def test_targets(explain: Status, folder: Path, target: str, targets: list[int] | None) -> None:
    assert explain("method=saliency", f"target={target}") == 0
    table = pipeline.open_run(folder).table()
    if targets is not None:
        assert table["target"].tolist() == targets
    else:
        count = int(target[3:]) if target.startswith("top") else 1
        ranked = np.argsort(-table["prediction"][::count], axis=1)[:, :count]
        assert table["target"].tolist() == ranked.ravel().tolist()
        assert table["index"].tolist() == np.repeat(np.arange(12), count).tolist()
    scores = np.take_along_axis(table["prediction"], table["target"][:, None].astype(np.int64), 1)[:, 0]
    np.testing.assert_allclose(table["score"], scores)


@pytest.mark.parametrize("factory", ["number", "column"])
@pytest.mark.parametrize("target", ["pred", "label"])
def test_network_with_a_single_output(explain: Status, folder: Path, tmp_path: Path, factory: str, target: str) -> None:
    (tmp_path / "map.json").write_text('{"n02123159": 1, "n03763968": 0, "n03773504": 1}')
    single = (f"model.factory=tiny_networks:{factory}", "model.weights=null", f"data.class_map={tmp_path}/map.json")
    assert explain(*single, "method=input_x_gradient", "output=probability", f"target={target}") == 0
    table = pipeline.open_run(folder).table()
    assert table["prediction"].shape == (12, 1)
    assert set(table["target"]) == {0}
    assert table["predicted"].tolist() == (table["prediction"][:, 0] > 0).astype(int).tolist()
    np.testing.assert_allclose(table["score"], 1 / (1 + np.exp(-table["prediction"][:, 0])), rtol=1e-5)


def test_multi_label_probabilities_are_independent(explain: Status, folder: Path) -> None:
    three = ("model.factory=tiny_networks:three", "model.weights=null", "model.multi_label=true")
    assert explain(*three, "method=saliency", "output=probability", "target=[0,1,2]") == 0
    table = pipeline.open_run(folder).table()
    logits = np.take_along_axis(table["prediction"], table["target"][:, None].astype(np.int64), 1)[:, 0]
    np.testing.assert_allclose(table["score"], 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_unlabelled_folder(explain: Status, folder: Path, dataset: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in dataset.rglob("*.jpg"):
        shutil.copyfile(path, flat / f"{path.parent.name}-{path.name}")
    assert explain("method=saliency", f"data.root={flat}", "data.labels=false") == 0
    run = pipeline.open_run(folder)
    assert run.table()["label"].tolist() == [-1] * 12
    assert len(run.where(correct=True)) == len(run.where(correct=False)) == 0
    assert json.loads((folder / "summary.json").read_text())["overall"]["accuracy"] is None
    with pytest.raises(UsageError, match=r"data\.labels=false"):
        explain("method=saliency", f"data.root={flat}")


def test_broken_images_are_recorded_and_the_run_continues(explain: Status, folder: Path, broken: Path) -> None:
    assert explain("method=saliency", "target=top2", f"data.root={broken}") == 3
    failures = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    assert [(failure["path"], failure["stage"]) for failure in failures] == [
        ("n02123159/a.jpg", "read"),
        ("n02123159/b.jpg", "read"),
        ("n03763968/d.jpg", "read"),
    ]
    assert all(failure["error"] for failure in failures)
    assert pipeline.open_run(folder).table()["index"].tolist() == np.repeat([2, 3, 4, 5, 6, *range(8, 12)], 2).tolist()
    before = files(folder)
    assert explain("method=saliency", "target=top2", f"data.root={broken}", "data.max_failed=0.25") == 0
    assert files(folder) == before


def test_run_of_broken_images_alone(explain: Status, folder: Path, dataset: Path, broken: Path) -> None:
    for path in broken.rglob("*.jpg"):
        path.unlink()
        path.write_text("no photograph")
    assert explain(f"data.root={broken}") == 3
    assert len(pipeline.open_run(folder)) == 0
    assert (folder / "report" / "index.html").is_file()


@pytest.mark.parametrize("shard_size", [2, 5, 12])
def test_retry_failed(
    explain: Status, folder: Path, dataset: Path, broken: Path, tmp_path: Path, shard_size: int
) -> None:
    command = ("method=saliency", f"store.shard_size={shard_size}", "batch_size=3")
    assert explain(*command, f"output_dir={tmp_path / 'whole'}") == 0
    assert explain(*command, f"data.root={broken}") == 3
    assert explain(*command, f"data.root={broken}", "retry_failed=true") == 3, "nothing is better yet"
    for path in dataset.rglob("*.jpg"):
        (broken / path.relative_to(dataset)).unlink()
        shutil.copyfile(path, broken / path.relative_to(dataset))
    assert explain(*command, f"data.root={broken}") == 3, "failures stay until a retry is requested"
    assert explain(*command, f"data.root={broken}", "retry_failed=true") == 0
    assert (folder / "failures.jsonl").read_text() == ""
    one, two = (pipeline.open_run(tmp_path / name) for name in ("whole", "run"))
    assert one.table()["index"].tolist() == two.table()["index"].tolist() == list(range(12))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_allclose(first.map, second.map, atol=2e-3 * np.abs(first.map).max())
    assert explain("task=verify", f"run={folder}") == 0


def test_outputs_that_are_not_finite_are_failures(explain: Status, folder: Path) -> None:
    undefined = ("model.factory=tiny_networks:undefined", "model.weights=null")
    assert explain(*undefined, "method=saliency") == 3
    failures = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    run = pipeline.open_run(folder)
    assert 0 < len(failures) < 12 and len(run) == 12 - len(failures)
    assert {failure["stage"] for failure in failures} == {"model"}
    assert all(np.isfinite(explanation.map).all() for explanation in run)


def test_maps_that_are_not_finite_are_failures(explain: Status, folder: Path, dataset: Path) -> None:
    """In float16 the product of a probability's gradient overflows long before the network does."""
    assert explain("method=saliency", "model.factory=tiny_networks:steep", "model.weights=null") == 3
    failures = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    assert {failure["stage"] for failure in failures} == {"map"} and len(failures) == 12
