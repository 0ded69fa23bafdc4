"""Loader of torchvision's classifiers, by name."""

import logging
import re
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import UsageError
from pipeline.models.class_names import IMAGENET_CLASSES
from pipeline.models.classifier import Classifier
from pipeline.models.weights import fill, fixed_seed, read_weights

logger = logging.getLogger(__name__)

# Auxiliary heads, unused in eval mode: built only if the weights have them.
AUXILIARY_HEADS = {"googlenet": "aux1.", "inception_v3": "AuxLogits."}
# The published DenseNet files are from before PyTorch forbade dots in the name of a layer.
OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def names() -> list[str]:
    """Names of all classification models, sorted."""
    return sorted(torchvision.models.list_models(module=torchvision.models))


def load(
    name: str,
    weights: str | Path | WeightsEnum | None = "DEFAULT",
    *,
    state: str | None = None,
    n_outputs: int | None = None,
    multi_label: bool = False,
) -> Classifier:
    """Builds a classifier with the preprocessing of its published weights, also with other weights.

    Args:
        name: One of ``names()``.
        weights: ``DEFAULT`` or another published name, also as ``ResNet18_Weights.IMAGENET1K_V1`` (downloaded into
            torch.hub's cache if missing), a ``.pth`` or ``.safetensors`` file, or None for random weights, the same in
            every process.
        state: Of a file with weights and their moving average (EMA), ``plain`` or ``ema``; None: the plain ones, if
            they are there.
        n_outputs: Number of classes; default: as many as the file has, or 1000 with random weights.
        multi_label: True if the outputs are independent.

    Raises:
        UsageError: The name is unknown; the weights are missing, damaged, of another network or cannot be downloaded,
            or do not have ``n_outputs`` classes.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=3)
        raise UsageError(f"no torchvision classifier '{name}'; {'near: ' + ', '.join(near) if near else 'see --help'}")
    published = get_model_weights(name)
    weights_name = str(weights).removeprefix(f"{published.__name__}.")
    chosen = published.__members__.get(weights_name, published.DEFAULT)
    if weights is None:
        logger.warning("%s has random weights: its maps show an untrained network", name)
        network = _build(name, n_outputs or len(IMAGENET_CLASSES), preset=chosen)
    else:
        path = fetch(chosen) if weights_name in published.__members__ else Path(str(weights))
        if not path.is_file():
            names_of_weights = ", ".join(published.__members__)
            raise UsageError(f"no weights file {path}, and no weights of {name} with this name ({names_of_weights})")
        network = _with_weights(name, read_weights(path, state=state), preset=chosen, path=path)
    classifier = Classifier.wrap(network, name, preprocessing=_preprocessing(chosen), multi_label=multi_label)
    if n_outputs not in (None, classifier.n_outputs):
        raise UsageError(f"{weights} has {classifier.n_outputs} outputs, not n_outputs={n_outputs}")
    return classifier


def fetch(weights: WeightsEnum) -> Path:
    """Path of published weights in torch.hub's cache; downloads them if missing.

    Raises:
        UsageError: The download failed; the message has the file and the URL.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[1])
    if path.exists():
        return path
    sha256_prefix = path.stem.rsplit("-", 1)[1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(path), sha256_prefix)
    except (OSError, RuntimeError) as error:  # RuntimeError: the hash differs
        raise UsageError(
            f"cannot fetch {weights.url} ({error}): put the file at {path} by hand, or give model.weights=FILE"
        ) from error
    return path


def _with_weights(name: str, state: dict[str, Tensor], *, preset: WeightsEnum, path: Path) -> nn.Module:
    if name.startswith("densenet"):
        state = {OLD_DENSENET_NAME.sub(r"\1\2", key): tensor for key, tensor in state.items()}
    build = partial(_build, name, preset=preset, state=state)
    return fill(build, state, n_outputs=len(IMAGENET_CLASSES), source=path)


def _build(name: str, n_outputs: int, *, preset: WeightsEnum, state: dict[str, Tensor] | None = None) -> nn.Module:
    """Builds the network of ``preset``, with the auxiliary heads that ``state`` has."""
    options: dict[str, Any] = {"num_classes": n_outputs}
    if name.startswith("vit_"):
        options["image_size"] = preset.meta["min_size"][0]
    if name in AUXILIARY_HEADS:
        auxiliary = any(f".{AUXILIARY_HEADS[name]}" in f".{key}" for key in state or ())
        # Both were trained on inputs normalised differently from the preprocessing, and convert them inside.
        options |= {"aux_logits": auxiliary, "transform_input": True, "init_weights": state is None}
    with fixed_seed():
        network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def _preprocessing(weights: WeightsEnum) -> Preprocessing:
    preset = weights.transforms()
    (resize,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocessing(
        resize=resize,
        crop=(crop, crop),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )
