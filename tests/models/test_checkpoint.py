import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models import checkpoint
from pipeline.models.weights import weights_sha256
from tests.conftest import Prepare


class FixedSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1))


@pytest.fixture
def factory(monkeypatch):
    module = ModuleType("their_checkpoint_networks")
    module.build = FixedSize
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return f"{module.__name__}:build"


def load_fixed(weights, factory: str, **options):
    return checkpoint.load(weights, factory, allow=["their_checkpoint_networks"], **options)


def test_factory_with_weights_and_input_size(tmp_path, factory):
    trained = FixedSize()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "w.pth")
    classifier = load_fixed(tmp_path / "w.pth", factory, transform={"crop": [32, 32], "resize": 36}, multi_label=True)
    assert classifier.weights_sha256 == weights_sha256(trained)
    assert classifier.preprocessing == Preprocessing(36, (32, 32), checkpoint.IMAGENET.mean, checkpoint.IMAGENET.std)
    assert (classifier.name, classifier.n_outputs, classifier.multi_label) == (
        "their_checkpoint_networks.build",
        4,
        True,
    )


def test_preprocessing_is_imagenets_unless_given(factory):
    with pytest.raises(UsageError, match=r"RGB image of 224 x 224 pixels .*data\.transform\.crop"):
        load_fixed(None, factory)


def test_a_factory_without_weights_is_logged(factory, caplog):
    load_fixed(None, factory, transform={"crop": 32})
    assert "keeps the weights that its factory gave it" in caplog.text


def test_a_factory_must_be_allowed(factory):
    with pytest.raises(UsageError, match=r"model\.allow=\[their_checkpoint_networks\]"):
        checkpoint.load(None, factory)


def test_architecture_takes_the_classes_of_the_file(tmp_path):
    state = torchvision.models.resnet18(num_classes=37).state_dict()
    save_file(state, tmp_path / "pets.safetensors")
    classifier = checkpoint.load(tmp_path / "pets.safetensors", architecture="resnet18", transform={"crop": 64})
    assert classifier.n_outputs == 37 and classifier.preprocessing.crop == (64, 64)
    assert all(torch.equal(classifier.module.state_dict()[key], tensor) for key, tensor in state.items())


def test_program_needs_nothing_else(tmp_path):
    program = torch.export.export(
        FixedSize(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    torch.export.save(program, tmp_path / "mine.pt2")
    classifier = checkpoint.load(tmp_path / "mine.pt2", transform={"crop": (32, 32)})
    assert (classifier.name, classifier.n_outputs, classifier.module.training) == ("mine", 4, False)
    assert not any(parameter.requires_grad for parameter in classifier.module.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "w.pth"},
        {},
        {"weights": "w.pt2", "factory": "a:b"},
        {"weights": "w.pth", "factory": "a:b", "architecture": "resnet18"},
    ],
)
def test_exactly_one_source_of_the_network(options):
    with pytest.raises(UsageError, match="exactly one of"):
        checkpoint.load(**options)


def test_a_network_of_fixed_input_size_is_evaluated_at_it(
    job: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    network = "nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 48, 1000))"
    (tmp_path / "fixed_size.py").write_text(f"from torch import nn\n\n\ndef build():\n    return {network}\n")
    prepared = job(
        "model.factory=fixed_size:build",
        "model.allow=[fixed_size]",
        "model.weights=null",
        "data.transform.crop=[40,48]",
    )
    assert prepared.classifier.preprocessing.crop == (40, 48) and prepared.classifier.n_outputs == 1000
