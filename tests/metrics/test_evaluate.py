"""task=evaluate: from the command line to evaluate.json; interrupted and repeated, the scores are the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline
from pipeline.errors import StoreError, UsageError
from pipeline.metrics import Sparseness, run_sample
from pipeline.metrics.control_maps import KINDS
from pipeline.metrics.evaluate import evaluate_run
from pipeline.metrics.evaluation_result import read_result, result_table
from pipeline.metrics.run_sample import PartialMeasurement, Sample
from pipeline.run.task_options import EvaluateOptions
from pipeline.store.reader import Run
from pipeline.store.shard_reader import ShardReader
from pipeline.system.signals import Stopped, StopRequest
from pipeline.tasks import perform
from tests.commands import command
from tests.conftest import Compose, Prepare, Status
from tests.stopping import Stopping

QUICK = ("task=evaluate", "task.images=6", "task.resamples=50", "task.deletion.steps=4")
EXPLAIN = ("method=ig", "n_steps=3", "store.dtype=float32")


@pytest.fixture(scope="module")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that the first test computes, for the others to copy."""
    return tmp_path_factory.mktemp("stored") / "run"


@pytest.fixture
def folder(explain: Status, stored_run: Path, tmp_path: Path) -> Path:
    """Of a run of twelve explanations."""
    if not stored_run.exists():
        assert explain(*EXPLAIN, f"output_dir={stored_run}") == 0
    shutil.copytree(stored_run, tmp_path / "run")
    return tmp_path / "run"


def test_the_command_line_evaluates_a_run(tiny: list[str], folder: Path) -> None:
    done = command(*tiny, *QUICK, f"run={folder}", folder=folder.parent)
    assert done.status == 0, done.err
    assert done.err in "\n".join(line.split(" INFO ")[-1] for line in (folder / "run.log").read_text().split("\n"))
    result = json.loads((folder / "evaluate.json").read_text())
    assert list(result["metrics"]) == ["completeness", "sparseness", "deletion", "confidence", "single_deletion"]
    assert result["sample"] == {"seed": 0, "explanations": 6, "published": 12}
    assert all(len(numbers) == 6 for numbers in result["explanations"].values())
    for metric in result["metrics"].values():
        assert metric["protocol"] in done.err and metric["source"] in done.err
        for name, score in metric["scores"].items():
            assert name in done.err and score["meaning"] and score["better"] in ("lower", "higher", "neither")
            for kind in KINDS:
                values = [value for value in metric["values"][name][kind] if value is not None]
                assert score[kind]["mean"] == pytest.approx(np.mean(values), rel=1e-5)
                assert score[kind]["low"] <= score[kind]["mean"] <= score[kind]["high"]
    run = pipeline.open_run(folder)
    deltas = {one.index: abs(one.convergence_delta) for one in run}
    stored = [deltas[index] for index in result["explanations"]["index"]]
    assert result["metrics"]["completeness"]["values"]["delta"]["map"] == pytest.approx(stored, rel=1e-5)
    assert not (folder / "evaluate.part.json").exists() and done.err.endswith(f"{folder / 'evaluate.json'}\n")


def test_scores_do_not_depend_on_batches_and_repetition(explain: Status, folder: Path) -> None:
    path = folder / "evaluate.json"
    assert explain(*QUICK, f"run={folder}", "internal_batch_size=5") == 0
    first, written = path.read_bytes(), path.stat().st_mtime_ns
    assert explain(*QUICK, f"run={folder}", "internal_batch_size=5") == 0
    assert path.stat().st_mtime_ns == written  # nothing was left to do
    path.unlink()
    assert explain(*QUICK, f"run={folder}", "internal_batch_size=5") == 0
    assert path.read_bytes() == first
    path.unlink()
    assert explain(*QUICK, f"run={folder}", "internal_batch_size=3", "batch_size=5") == 0
    for name, metric in json.loads(first)["metrics"].items():
        other = json.loads(path.read_text())["metrics"][name]["values"]
        for score, kinds in metric["values"].items():
            for kind, values in kinds.items():
                np.testing.assert_allclose(
                    np.array(other[score][kind], float), np.array(values, float), rtol=1e-3, atol=1e-5
                )


def test_metrics_are_added_to_those_of_the_same_sample(explain: Status, folder: Path) -> None:
    def metrics(*arguments: str) -> dict:
        assert explain(*QUICK, f"run={folder}", *arguments) == 0
        result = read_result(folder)
        assert result is not None
        return result["metrics"]

    assert list(metrics("task.metrics=[sparseness]")) == ["sparseness"]
    assert list(metrics("task.metrics=[completeness]")) == ["sparseness", "completeness"]
    coarse = metrics("task.metrics=[single_deletion]", "task.single_deletion.grid=2")["single_deletion"]
    assert coarse["options"] == {"grid": 2, "baselines": 0}
    assert metrics("task.metrics=[single_deletion]")["single_deletion"]["options"]["grid"] == 4
    assert list(metrics("task.metrics=[sparseness]", "task.seed=1")) == ["sparseness"]  # other images


def test_an_interrupted_evaluation_resumes(job: Prepare, compose: Compose, folder: Path) -> None:
    arguments = ("batch_size=2", "internal_batch_size=64", *EXPLAIN)
    options = EvaluateOptions.from_node(compose(*QUICK, "task.metrics=[deletion]")[0]["task"])
    whole = evaluate_run(job(*arguments), options, stop=StopRequest())
    (folder / "evaluate.json").unlink()
    stop = Stopping(
        at=6
    )  # checked at the start, before the batch, and before each of its forward passes: in the second
    with pytest.raises(Stopped), stop.deferred():
        evaluate_run(job(*arguments), options, stop=stop)
    (first,) = json.loads((folder / run_sample.FILE).read_text())["arrays"]
    first["scores.deletion"][0][0] = 0.625  # to see that it is not measured again
    part = json.loads((folder / run_sample.FILE).read_text())
    (folder / run_sample.FILE).write_text(json.dumps({**part, "arrays": [first]}))
    resumed = evaluate_run(job(*arguments), options, stop=StopRequest())
    expected, found = (one["metrics"]["deletion"]["values"]["deletion"]["map"] for one in (whole, resumed))
    assert found[0] == 0.625 and found[1:] == expected[1:]
    assert not (folder / run_sample.FILE).exists()


def test_too_little_memory_is_one_line(job: Prepare, compose: Compose, folder: Path) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("the device is full")

    prepared = job(*EXPLAIN)
    prepared.classifier.module.register_forward_hook(full)
    options = EvaluateOptions.from_node(compose(*QUICK, "task.metrics=[confidence]")[0]["task"])
    with pytest.raises(UsageError, match="out of memory: not even one point fits into memory"):
        evaluate_run(prepared, options, stop=StopRequest())


def test_a_part_of_something_else_or_a_damaged_one_is_left_aside(job: Prepare, folder: Path) -> None:
    sample = Sample.of(Run(ShardReader(folder)), images=3, seed=0)
    for content in ('{"identity": ["other"], "arrays": [{"readable": [true]}]}', "no json", "[]"):
        (folder / run_sample.FILE).write_text(content)
        measured = PartialMeasurement(folder, ["this"]).measure(job(*EXPLAIN), Sparseness(), sample, stop=StopRequest())
        assert measured["scores.gini"].shape == (len(KINDS), 3)


def test_an_image_that_is_gone_has_no_score(
    explain: Status, folder: Path, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(pipeline.open_run(folder)[number].path for number in range(12))
    content = path.read_bytes()
    try:
        path.write_bytes(b"gone")
        assert explain(*QUICK, f"run={folder}", "task.images=null", "task.metrics=[sparseness]") == 0
    finally:
        path.write_bytes(content)
    result = read_result(folder)
    assert result is not None and "1 of 12 images cannot be read" in caplog.text
    found = result["metrics"]["sparseness"]
    assert found["unreadable"] == 1 and found["values"]["gini"]["map"][0] is None
    assert found["scores"]["gini"]["map"]["defined"] == 11
    assert "12 of 12 explanations" in result_table(result)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("task.metrics=[delete]", "no metric 'delete'; there are completeness, sparseness"),
        ("task.metrics=deletion", "task.metrics=deletion: expected a list of metrics"),
        ("task.deletion.steps=0", "steps must be a whole number from 1"),
        ("task.images=0", "task.images=0: expected a whole number from 1, or null"),
    ],
)
def test_invalid_options_are_refused(
    compose: Compose, explain: Status, tiny: list[str], tmp_path: Path, argument: str, words: str
) -> None:
    assert explain("method=saliency", "data.limit=1") == 0
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        perform(*compose(*tiny, "task=evaluate", f"run={tmp_path / 'run'}", argument))


def test_other_weights_are_refused_and_so_are_neurons(explain: Status, tmp_path: Path, networks: Path) -> None:
    assert explain("method=saliency", "data.limit=2") == 0
    weights = (networks / "tiny.pth").read_bytes()
    try:
        changed = {name: 2 * value for name, value in torch.load(networks / "tiny.pth").items()}
        torch.save(changed, networks / "tiny.pth")
        with pytest.raises(StoreError, match=r"model\.weights"):
            explain(*QUICK, f"run={tmp_path / 'run'}")
    finally:
        (networks / "tiny.pth").write_bytes(weights)
    neuron = ("method=saliency", "data.limit=1", "view=neuron", "layer='0'", "neuron=[3,4,5]")
    assert explain(*neuron, f"output_dir={tmp_path / 'neuron'}") == 0
    with pytest.raises(UsageError, match="explains a neuron"):
        explain(*QUICK, f"run={tmp_path / 'neuron'}")
