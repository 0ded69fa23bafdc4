"""A batch of a stored run: its method explains it again as before, and every metric takes it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline
from pipeline.data.stream import stream
from pipeline.engine.chunked_evaluator import ChunkedEvaluator
from pipeline.metrics.control_maps import KINDS
from pipeline.metrics.run_sample import case_of
from tests.conftest import Prepare, Status

OCCLUSION = ("method=occlusion", "sliding_window_shapes=[3,9,9]", "strides=[3,5,5]")
METHODS = {
    "occlusion": OCCLUSION,
    "noisy": ("method=ig", "n_steps=3", "smooth=noise_tunnel", "smooth.nt_samples=2", "smooth.stdevs=0.2"),
    "layer": ("method=grad_cam", "layer='2'", "target=top3"),
}


@pytest.mark.parametrize("name", METHODS)
def test_maps_explained_again_are_the_stored_ones(name: str, job: Prepare, explain: Status, tmp_path: Path) -> None:
    arguments = (*METHODS[name], "data.limit=3", "store.dtype=float32")
    assert explain(*arguments) == 0
    explanations, again = list(pipeline.open_run(tmp_path / "run")), job(*arguments)
    numbers = [one.index for one in explanations]
    paths, preprocessing = again.index.paths, again.classifier.preprocessing
    (batch,) = stream(again.root, paths, preprocessing, [numbers], num_workers=0, pin_memory=False)
    case, readable = case_of(again, explanations, batch, seed=5, evaluator=ChunkedEvaluator(4))
    assert readable.all() and len(case.images) == len(explanations)
    stored = torch.from_numpy(np.stack([one.map.sum(0) for one in explanations]))
    torch.testing.assert_close(case.explain(case.images), stored, rtol=1e-4, atol=1e-5 * stored.abs().max().item())
    image = torch.arange(len(explanations))
    scores = case.evaluate(image, lambda points: case.images[points], case.explained)
    torch.testing.assert_close(scores.double(), case.column("score"), rtol=1e-4, atol=1e-5)


def test_every_metric_takes_a_run_from_the_command_line(explain: Status, dataset: Path, tmp_path: Path) -> None:
    for photograph in dataset.rglob("*.jpg"):
        box = "<bndbox><xmin>20</xmin><ymin>20</ymin><xmax>60</xmax><ymax>60</ymax></bndbox>"
        boxes = tmp_path / "boxes" / photograph.parent.name / f"{photograph.stem}.xml"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text(f"<annotation><object><name>{photograph.parent.name}</name>{box}</object></annotation>")
    assert explain(*OCCLUSION, "data.limit=3", "target=label") == 0
    costly = ("infidelity.perturbations=4", "sensitivity.samples=2", "road.percentages=[50]", "randomisation.stages=2")
    options = [f"task.{option}" for option in (*costly, f"localisation.regions={tmp_path / 'boxes'}")]
    metrics = "task.metrics=[infidelity,sensitivity,road,localisation,randomisation]"
    assert explain("task=evaluate", f"run={tmp_path / 'run'}", "task.resamples=20", metrics, *options) == 0
    found = json.loads((tmp_path / "run/evaluate.json").read_text())["metrics"]
    assert list(found) == ["infidelity", "sensitivity", "road", "localisation", "randomisation"]
    for metric in found.values():
        for score in metric["scores"].values():
            assert all(score[kind]["defined"] == 3 for kind in KINDS)
    means = {name: score for metric in found.values() for name, score in metric["scores"].items()}
    assert means["max_sensitivity"]["random"]["mean"] == 0 and means["max_sensitivity"]["map"]["mean"] > 0
    assert means["randomised_ssim"]["edge"]["mean"] == 1 and means["randomised_ssim"]["map"]["mean"] < 1
