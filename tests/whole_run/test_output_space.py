"""One confidence of a prediction wherever a run tells it: summaries, report, audit and its page."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline
from pipeline.audit import open_audit
from pipeline.audit.page.strips import strips
from pipeline.report.example_cards import example_card
from tests.conftest import Status

KINDS = {
    "softmax": ("three", False),
    "multi-label": ("three", True),
    "one output": ("column", False),
    "one output, multi-label": ("column", True),
}


@pytest.fixture
def network(networks: Path, tiny: list[str]) -> Callable[[str], str]:
    """Writes weights of a factory whose outputs are far apart; gives their file."""

    def written(factory: str) -> str:
        import tiny_networks  # type: ignore[import-not-found] # written by a fixture

        state = getattr(tiny_networks, factory)().state_dict()
        generator = torch.Generator().manual_seed(1)
        drawn = {name: 0.4 * torch.randn(values.shape, generator=generator) for name, values in state.items()}
        torch.save(drawn, networks / f"{factory}.pth")
        return str(networks / f"{factory}.pth")

    return written


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_has_the_same_confidence(
    kind: str, network: Callable[[str], str], explain: Status, dataset: Path, tmp_path: Path
) -> None:
    factory, multi_label = KINDS[kind]
    classes = {folder.name: number for number, folder in enumerate(sorted(dataset.iterdir()))}
    if factory == "column":
        classes = {name: min(number, 1) for name, number in classes.items()}
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    model = (f"model.factory=tiny_networks:{factory}", f"model.weights={network(factory)}")
    options = (*model, f"model.multi_label={multi_label}", f"data.class_map={tmp_path / 'classes.json'}")
    assert explain("method=saliency", *options) == 0
    assert explain("task=audit", f"run={tmp_path / 'run'}", "task.checks=0") == 0

    run = pipeline.open_run(tmp_path / "run")
    logits = torch.from_numpy(np.stack([one.prediction for one in run])).double()
    outputs = logits.softmax(1) if kind == "softmax" else logits.sigmoid()
    if factory == "column":
        outputs = torch.cat((1 - outputs, outputs), 1)
    predicted = torch.tensor([one.predicted for one in run])
    expected = outputs.gather(1, predicted[:, None])[:, 0].numpy()
    labels = np.array([one.label for one in run])
    assert expected.std() > 0.01  # or all would agree by chance

    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["overall"]["confidence"] == pytest.approx(expected.mean(), abs=1e-6)
    audit = open_audit(run.folder)
    audited = {one.number: one for one in audit.classes}
    for one in summary["classes"]:
        own = labels == one["label"]
        assert one["confidence"] == pytest.approx(expected[own].mean(), abs=1e-6)
        assert audited[one["label"]].confidence == pytest.approx(expected[own].mean(), abs=1e-6)
        correct = outputs.numpy()[own, one["label"]].mean()
        assert audited[one["label"]].self_confidence == pytest.approx(correct, abs=1e-6)
    rows = list(csv.DictReader((run.folder / "summary.csv").read_text().splitlines()))
    assert float(rows[0]["confidence"]) == pytest.approx(expected.mean(), abs=1e-6)
    cards = [example_card(one, run.manifest, images=False).confidence for one in run]
    np.testing.assert_allclose(cards, expected, atol=1e-6)
    drawn = [one.confidence for one in strips(run, range(len(run)), None, images=False)]
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
