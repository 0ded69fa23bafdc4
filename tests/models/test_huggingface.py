"""Hugging Face classifiers: real networks of transformers, small, saved into folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra, UsageError
from pipeline.methods import DeepLift, IntegratedGradients, LayerGradCam, Occlusion
from pipeline.models import huggingface
from tests.networks import images

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
NAMES = {0: "cat", 1: "dog", 2: "owl", 3: "fox", 4: "hen"}
NETWORKS = {
    "ViT": {**SMALL, "image_size": 32, "patch_size": 8},
    "DeiT": {**SMALL, "image_size": 32, "patch_size": 8},
    "ResNet": {**STAGES, "embedding_size": 8, "layer_type": "basic"},
    "ConvNext": {**STAGES, "num_stages": 2},
    "Swin": {
        "image_size": 32,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
}
LAYERS = {"ViT": "vit.layers.1.layernorm_before", "ResNet": "resnet.encoder.stages.1", "Swin": "swin.encoder.layers.0"}
Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves a network and an image processor; returns the folder's name."""

    def saved(network: str = "ResNet", **options: object) -> str:
        configuration = getattr(transformers, f"{network}Config")(**NETWORKS[network], id2label=NAMES, **options)
        torch.manual_seed(1)
        getattr(transformers, f"{network}ForImageClassification")(configuration).save_pretrained(tmp_path)
        transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
        return str(tmp_path)

    return saved


@pytest.mark.parametrize("network", NETWORKS)
def test_a_folder_gives_its_network_and_names(save: Save, network: str) -> None:
    folder = save(network)
    classifier = huggingface.load(folder)
    original = getattr(transformers, f"{network}ForImageClassification").from_pretrained(folder)
    batch = images(2, 32, 32, torch.float32)
    torch.testing.assert_close(classifier.module(batch), original(batch).logits)
    assert (classifier.n_outputs, classifier.multi_label) == (5, False)
    assert classifier.class_names == list(NAMES.values())
    assert not any(parameter.requires_grad for parameter in classifier.module.parameters())


def test_random_weights_and_a_file(save: Save, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save()
    random = huggingface.load(folder, None)
    assert "random weights" in caplog.text
    torch.rand(3)
    assert huggingface.load(folder, None).weights_sha256 == random.weights_sha256
    trained = huggingface.load(folder)
    assert trained.weights_sha256 != random.weights_sha256
    save_file(random.module.network.state_dict(), tmp_path / "mine.safetensors")
    assert huggingface.load(folder, tmp_path / "mine.safetensors").weights_sha256 == random.weights_sha256


@pytest.mark.parametrize("multi_label", [None, False])
def test_independent_outputs_are_read_from_the_configuration(save: Save, multi_label: bool | None) -> None:
    folder = save(problem_type="multi_label_classification")
    assert huggingface.load(folder, multi_label=multi_label).multi_label is (multi_label is None)


def test_weights_of_another_kind_are_refused(save: Save, tmp_path: Path) -> None:
    folder = save()
    state = transformers.ResNetForImageClassification.from_pretrained(folder).state_dict()
    backbone = {name: tensor for name, tensor in state.items() if name.startswith("resnet.")}
    save_file(backbone, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="not trained to classify"):
        huggingface.load(folder)
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="safetensors"):
        huggingface.load(folder)


def test_code_in_a_folder_is_never_run(save: Save, tmp_path: Path) -> None:
    folder = save()
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    map_ = '{"AutoConfig": "theirs.Config", "AutoModelForImageClassification": "theirs.Network"}'
    (tmp_path / "config.json").write_text(f'{{"model_type": "theirs", "auto_map": {map_}}}')
    for weights in ("DEFAULT", None):
        with pytest.raises(UsageError, match=r"custom code|trust_remote_code"):
            huggingface.load(folder, weights)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_file_is_refused(save: Save, tmp_path: Path, missing: str) -> None:
    folder = save()
    (tmp_path / missing).unlink()
    with pytest.raises(UsageError, match=f"cannot load {folder}") as refusal:
        huggingface.load(folder)
    assert "\n" not in str(refusal.value)


def test_a_folder_without_an_image_processor_needs_four_fields(save: Save, tmp_path: Path) -> None:
    folder = save()
    (tmp_path / "preprocessor_config.json").unlink()
    given = {"resize": 40, "crop": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    classifier = huggingface.load(folder, transform=given)
    assert classifier.preprocessing == Preprocessing(40, (32, 32), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    nearest = huggingface.load(folder, transform=given | {"interpolation": "nearest"})
    assert nearest.preprocessing.interpolation == "nearest"
    for field in given:
        others = {name: value for name, value in given.items() if name != field}
        with pytest.raises(UsageError, match=rf"no preprocessor_config\.json: .*\.{field} \(") as refusal:
            huggingface.load(folder, transform=others)
        assert "\n" not in str(refusal.value)
    (tmp_path / "preprocessor_config.json").write_text("{damaged")
    with pytest.raises(UsageError, match=f"cannot load {folder}"):
        huggingface.load(folder, transform=given)


def test_a_missing_folder_or_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        huggingface.load(str(tmp_path / "nowhere"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot load https://huggingface\.co/owner/absent") as refusal:
        huggingface.load("owner/absent")
    assert "\n" not in str(refusal.value)


def test_a_missing_transformers_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "transformers", None)
    with pytest.raises(MissingExtra, match=r"\[hub\]"):
        huggingface.load("owner/absent")


@pytest.mark.parametrize("network", LAYERS)
def test_methods_take_the_network_of_transformers_unwrapped(save: Save, network: str) -> None:
    """It returns an object with logits; the loader's network returns the logits."""
    folder, batch = save(network), images(2, 32, 32)
    loaded = huggingface.load(folder).module.double()
    bare = transformers.AutoModelForImageClassification.from_pretrained(folder).double().eval()

    def maps(model: nn.Module, layer: str) -> list[Tensor]:
        methods = [
            IntegratedGradients(model, n_steps=3),
            Occlusion(model, sliding_window_shapes=(3, 16, 16), strides=(3, 8, 8)),
            DeepLift(model, baselines="blur"),
            LayerGradCam(model, layer=layer),
        ]
        return [method(batch, [1, 3]) for method in methods]

    for of_bare, of_loaded in zip(maps(bare, LAYERS[network]), maps(loaded, f"network.{LAYERS[network]}"), strict=True):
        assert of_bare.abs().max() > 0
        torch.testing.assert_close(of_bare, of_loaded, rtol=1e-9, atol=1e-12)
