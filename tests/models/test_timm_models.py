import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import MissingExtra, UsageError
from pipeline.models import timm_models
from pipeline.models.weights import weights_sha256

timm = pytest.importorskip("timm")

NAME = "resnet18.a1_in1k"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def test_a_missing_timm_names_the_extra(monkeypatch):
    monkeypatch.setattr(timm_models, "timm", None)
    with pytest.raises(MissingExtra, match=r"\[hub\]"):
        timm_models.load(NAME, None)


@pytest.mark.parametrize("name", ["resnet18.a1", "hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp"])
def test_only_listed_names_are_built(name):
    with pytest.raises(UsageError, match="no timm model"):
        timm_models.load(name, None)


def test_unknown_name_shows_near_ones():
    with pytest.raises(UsageError, match=r"near: .*resnet18"):
        timm_models.load("resnet_18", None)


def test_a_model_without_classes_is_refused():
    with pytest.raises(UsageError, match="returns features"):
        timm_models.load("vit_small_patch14_dinov2", None)


def test_random_weights_are_the_same_in_every_process(caplog):
    first = timm_models.load(NAME, None)
    assert "random weights" in caplog.text
    torch.rand(3)
    assert timm_models.load(NAME, None).weights_sha256 == first.weights_sha256
    assert first.n_outputs == 1000 and first.class_names[281] == "tabby"


@pytest.mark.parametrize("name", [NAME, "mobilenetv3_small_050.lamb_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
@pytest.mark.parametrize("mode", ["center", "squash"])
def test_preprocessing_is_that_of_timm(name, mode):
    network = timm.create_model(name, num_classes=2)
    network.pretrained_cfg["crop_mode"] = mode
    expected = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8))
    preprocessing = timm_models._preprocessing(network)
    pixels, _ = preprocessing(image)
    assert torch.allclose(preprocessing.normalize(pixels / 255), expected(image), atol=1e-6)


def test_a_preprocessing_that_cannot_be_expressed_is_refused():
    network = timm.create_model(NAME, num_classes=2)
    network.pretrained_cfg["crop_mode"] = "border"
    with pytest.raises(UsageError, match="crop_mode 'border'"):
        timm_models._preprocessing(network)


def test_the_network_has_as_many_outputs_as_the_file(tmp_path):
    state = timm.create_model(NAME, num_classes=9).state_dict()
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    classifier = timm_models.load(NAME, tmp_path / "w.pth")
    assert classifier.n_outputs == 9
    assert all(torch.equal(classifier.module.state_dict()[key], tensor) for key, tensor in state.items())


def test_an_offline_machine_gets_the_address(offline):
    with pytest.raises(
        UsageError, match=r"https://huggingface\.co/timm/resnet18\.a1_in1k .*model\.weights=FILE"
    ) as refusal:
        timm_models.load(NAME)
    assert "\n" not in str(refusal.value)


def test_of_a_file_with_an_average_timms_rule_reads_the_average(tmp_path):
    states = [timm.create_model("mobilenetv3_small_050", num_classes=3).state_dict() for _ in range(2)]
    torch.save({"state_dict": states[0], "state_dict_ema": states[1]}, tmp_path / "model_best.pth.tar")
    own = timm.create_model("mobilenetv3_small_050", num_classes=3)
    timm.models.load_checkpoint(own, str(tmp_path / "model_best.pth.tar"))
    path = tmp_path / "model_best.pth.tar"
    read = {state: timm_models.load("mobilenetv3_small_050", path, state=state) for state in (None, "plain", "ema")}
    assert read[None].weights_sha256 == read["ema"].weights_sha256 == weights_sha256(own.eval())
    assert read["plain"].weights_sha256 != read["ema"].weights_sha256
