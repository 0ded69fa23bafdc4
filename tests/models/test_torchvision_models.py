import logging

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import ViT_B_16_Weights, get_model_weights

from pipeline.errors import UsageError
from pipeline.models import torchvision_models
from pipeline.models.class_names import IMAGENET_CLASSES

SMALL = "squeezenet1_1"


def state_of(name: str, **options) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return torchvision.models.get_model(name, weights=None, **options).state_dict()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch.hub cache, and no internet: a proxy on a closed port."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    for scheme in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(scheme, raising=False)
    return tmp_path / "hub" / "checkpoints"


def test_names_are_the_classifiers_alone():
    names = torchvision_models.names()
    assert {"resnet50", "vit_b_16", "vgg16_bn"} <= set(names)
    assert not {"fcn_resnet50", "r3d_18", "raft_small", "quantized_resnet50"} & set(names)
    assert names == sorted(names)


def test_unknown_name_shows_near_ones():
    with pytest.raises(UsageError, match=r"no torchvision classifier 'resnet5'; near: .*resnet50"):
        torchvision_models.load("resnet5", None)
    with pytest.raises(UsageError, match="--help"):
        torchvision_models.load("zzzz", None)


def test_random_weights_are_logged_and_the_same_in_every_process(caplog):
    with caplog.at_level(logging.WARNING):
        first = torchvision_models.load(SMALL, None)
    assert "random weights" in caplog.text
    torch.rand(10)
    assert torchvision_models.load(SMALL, None).weights_sha256 == first.weights_sha256
    assert (first.name, first.n_outputs, first.multi_label) == (SMALL, 1000, False)
    assert first.class_names == list(IMAGENET_CLASSES) and first.class_names[281] == "tabby"


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "efficientnet_v2_l", "vit_h_14", "inception_v3"])
def test_preprocessing_is_that_of_the_published_weights(name):
    preset = get_model_weights(name).DEFAULT
    preprocessing = torchvision_models._preprocessing(preset)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8))
    pixels, _ = preprocessing(image)
    assert torch.allclose(preprocessing.normalize(pixels / 255), preset.transforms()(image), atol=1e-6)


@pytest.mark.parametrize("name", torchvision_models.names())
def test_every_published_preprocessing_can_be_expressed(name):
    for preset in get_model_weights(name):
        assert torchvision_models._preprocessing(preset).crop[0] == preset.transforms().crop_size[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("mnasnet0_5", {}),
        ("densenet121", {}),
        ("googlenet", {"init_weights": False}),
        ("googlenet", {"init_weights": False, "aux_logits": False}),
    ],
)
def test_the_network_has_as_many_outputs_as_the_file(tmp_path, name, options):
    state = state_of(name, num_classes=37, **options)
    save_file(state, tmp_path / "mine.safetensors")
    classifier = torchvision_models.load(name, tmp_path / "mine.safetensors", n_outputs=37)
    assert classifier.n_outputs == 37 and classifier.class_names[36] == "class 36"
    loaded = classifier.module.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())
    with pytest.raises(UsageError, match="37 outputs, not n_outputs=10"):
        torchvision_models.load(name, str(tmp_path / "mine.safetensors"), n_outputs=10)


def test_a_file_of_another_network_is_refused(tmp_path):
    torch.save(state_of("squeezenet1_0"), tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"w\.pth does not fit SqueezeNet: .*of another shape"):
        torchvision_models.load(SMALL, tmp_path / "w.pth")


def test_densenet_names_with_dots_load(tmp_path):
    state = state_of("densenet121")
    old = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "w.pth")
    loaded = torchvision_models.load("densenet121", tmp_path / "w.pth").module.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


def test_googlenet_corrects_its_input_as_the_published_weights_need(tmp_path):
    torch.save(state_of("googlenet", init_weights=False), tmp_path / "w.pth")
    assert torchvision_models.load("googlenet", tmp_path / "w.pth").module.transform_input


def test_vision_transformers_have_the_size_of_their_weights():
    with torch.device("meta"):
        network = torchvision_models._build("vit_b_16", 10, preset=ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1)
    assert network.image_size == 384


def test_default_weights_come_from_the_cache(hub):
    preset = get_model_weights(SMALL).DEFAULT
    hub.mkdir(parents=True)
    state = state_of(SMALL)
    torch.save(state, hub / preset.url.rsplit("/", 1)[1])
    for name in ("DEFAULT", "IMAGENET1K_V1"):
        loaded = torchvision_models.load(SMALL, name).module.state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


def test_an_offline_machine_gets_file_and_address(hub):
    preset = get_model_weights(SMALL).DEFAULT
    with pytest.raises(UsageError) as refusal:
        torchvision_models.load(SMALL)
    line = str(refusal.value)
    assert preset.url in line and str(hub / preset.url.rsplit("/", 1)[1]) in line and "model.weights=FILE" in line
    assert "\n" not in line
    assert not list(hub.iterdir())


def test_a_damaged_file_in_the_cache_is_named(hub):
    file = hub / get_model_weights(SMALL).DEFAULT.url.rsplit("/", 1)[1]
    hub.mkdir(parents=True)
    file.write_bytes(b"half a file")
    with pytest.raises(UsageError, match=f"{file.name} is damaged"):
        torchvision_models.load(SMALL)


def test_weights_are_also_named_as_torchvisions_enum(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    enum = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    named = [torchvision_models.load("resnet18", name) for name in ("IMAGENET1K_V1", str(enum), enum)]
    assert str(enum) == "ResNet18_Weights.IMAGENET1K_V1"
    assert len({classifier.weights_sha256 for classifier in named}) == 1
    for wrong in ("ResNet50_Weights.IMAGENET1K_V1", "IMAGENET1K_V7"):
        with pytest.raises(UsageError, match=rf"no weights file {wrong}, .* of resnet18 .*IMAGENET1K_V1, DE"):
            torchvision_models.load("resnet18", wrong)
