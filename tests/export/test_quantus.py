"""The arrays for Quantus, checked by its own metrics on a network with known attributions."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import pipeline
from pipeline.errors import UsageError
from pipeline.export import quantus_arrays
from tests.conftest import Status
from tests.export.conftest import KEPT, SIDE, WriteRun

quantus = pytest.importorskip("quantus", exc_type=ImportError)  # its OpenCV needs libraries of the system


def test_arrays_are_the_input_images_targets_and_maps(write_run: WriteRun) -> None:
    run = pipeline.open_run(write_run(KEPT, dtype="float32", targets=2))
    rows = [7, 3, 50]
    arrays = quantus_arrays(run, rows)
    mean, std = (np.array(values)[:, None, None] for values in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))
    for row, image, target, map_ in zip(rows, *arrays, strict=True):
        pixels = np.moveaxis(np.asarray(run[row].photograph()), 2, 0) / 255
        np.testing.assert_allclose(image, (pixels - mean) / std, atol=1e-6)
        assert target == run[row].target and np.array_equal(map_, run[row].map)
    assert [(array.shape, array.dtype.name) for array in arrays] == [
        ((3, 3, SIDE, SIDE), "float32"),
        ((3,), "int64"),
        ((3, 3, SIDE, SIDE), "float32"),
    ]
    assert len(quantus_arrays(run.where(label=2)).y_batch) == len(run.where(label=2))


LINEAR = """
from torch import nn


def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(32), nn.Flatten(), nn.Linear(3 * 32 * 32, 1000, bias=False))
"""


def test_quantus_metrics_take_them(explain: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a linear network flipping a value lowers the score by its Input x Gradient."""
    (tmp_path / "linear_network.py").write_text(LINEAR)
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("linear_network").build().eval()
    torch.save(network.state_dict(), tmp_path / "linear.pth")
    model = ("model.factory=linear_network:build", "model.allow=[linear_network]")
    options = ("method=input_x_gradient", "store.dtype=float32", "store.channels=keep", "target=label")
    assert explain(*options, *model, f"model.weights={tmp_path / 'linear.pth'}") == 0
    arrays = quantus_arrays(pipeline.open_run(tmp_path / "run"))
    assert arrays.a_batch.shape == (12, 3, 32, 32)
    scores = network(torch.from_numpy(arrays.x_batch)).gather(1, torch.from_numpy(arrays.y_batch)[:, None]).detach()
    quiet = {"disable_warnings": True, "display_progressbar": False}
    flipping = quantus.PixelFlipping(features_in_step=64, perturb_baseline=0.0, **quiet)
    curves = flipping(model=network, device="cpu", softmax=False, **arrays._asdict())
    steps = -np.sort(-arrays.a_batch.reshape(12, -1), 1).reshape(12, 48, 64).sum(2)
    np.testing.assert_allclose(curves, scores.numpy() - np.cumsum(steps, 1), atol=1e-3)
    sparse = quantus.Sparseness(**quiet)(model=network, **arrays._asdict(), device="cpu")
    assert len(sparse) == 12 and min(sparse) > 0 and max(sparse) < 1


def test_explanations_that_quantus_cannot_measure_are_refused(
    write_run: WriteRun, explain: Status, tmp_path: Path
) -> None:
    assert explain("method=saliency", "data.limit=1", "view=neuron", "layer='0'", "neuron=[3,4,5]") == 0
    with pytest.raises(UsageError, match="hidden neuron"):
        quantus_arrays(pipeline.open_run(tmp_path / "run"))
    shutil.rmtree(tmp_path / "run")
    run = pipeline.open_run(write_run())
    with pytest.raises(UsageError, match="no explanation"):
        quantus_arrays(run, [])
    run[4].path.unlink()
    with pytest.raises(UsageError, match=r"0004\.png cannot be read: No such file"):
        quantus_arrays(run, range(6))
