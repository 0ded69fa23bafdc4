"""Penultimate features: the last layer turns them into the logits, for every view and method."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import pipeline
from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models.classifier import Classifier
from pipeline.models.penultimate import last_layer, record_inputs
from tests.conftest import Prepare, Status


def wrapped(network: nn.Module) -> Classifier:
    return Classifier.wrap(network.eval(), "test", preprocessing=Preprocessing(None, (64, 64), (0.0,) * 3, (1.0,) * 3))


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg11", "densenet121", "mobilenet_v3_small", "convnext_tiny", "vit_b_32"]
)
def test_the_last_layer_turns_them_into_the_logits(name: str) -> None:
    torch.manual_seed(0)
    size = {"image_size": 64} if name.startswith("vit") else {}
    classifier = wrapped(torchvision.models.get_model(name, num_classes=7, **size))
    layer, images = last_layer(classifier), torch.rand(2, 3, 64, 64)
    assert isinstance(layer, nn.Linear)
    with torch.no_grad(), record_inputs(layer) as read:
        logits = classifier.module(images)
    torch.testing.assert_close(logits, layer(read[0]))
    assert not layer._forward_pre_hooks


def test_feature_maps_are_averaged() -> None:
    classifier = wrapped(torchvision.models.squeezenet1_1(num_classes=7))
    with torch.no_grad(), record_inputs(layer := last_layer(classifier)) as read:
        classifier.module(torch.rand(2, 3, 64, 64))
    assert isinstance(layer, nn.Conv2d) and read[0].shape == (2, 512)


def test_a_network_without_such_a_layer_is_refused() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UsageError, match="no linear layer or convolution with 3 outputs"):
        last_layer(wrapped(network))


@pytest.mark.parametrize(
    "view",
    [[], ["method=ig", "n_steps=3"], ["view=layer", "layer='2'"], ["view=neuron", "layer='2'", "neuron=[3,1,2]"]],
)
def test_a_run_stores_them(view: list[str], explain: Status, job: Prepare, tmp_path: Path) -> None:
    arguments = ("method=saliency", *view, "store.features=true", "data.limit=4", f"output_dir={tmp_path / 'run'}")
    assert explain(*arguments) == 0
    layer, run = last_layer(job(*arguments).classifier), pipeline.open_run(tmp_path / "run")
    assert isinstance(layer, nn.Linear)
    features = torch.from_numpy(np.stack([explanation.features for explanation in run]))
    with torch.no_grad():
        logits = layer(features.to(layer.weight.dtype))
    np.testing.assert_allclose(logits, run.table()["prediction"], rtol=1e-4, atol=1e-5)
    with h5py.File(tmp_path / "run" / "index.h5", "r", locking=False) as file:
        np.testing.assert_array_equal(file["features"], features)


def test_they_are_stored_only_on_request(explain: Status, tmp_path: Path) -> None:
    assert explain("method=saliency", "data.limit=4", f"output_dir={tmp_path / 'run'}") == 0
    assert pipeline.open_run(tmp_path / "run")[0].features.shape == (0,)
    with h5py.File(tmp_path / "run" / "index.h5", "r", locking=False) as file:
        assert "features" not in file
