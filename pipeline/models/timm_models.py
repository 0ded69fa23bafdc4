"""Loader of timm's classifiers, by name (extra ``hub``)."""

import logging
import math
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra, UsageError
from pipeline.models.classifier import Classifier
from pipeline.models.weights import fill, fixed_seed, read_weights

try:
    import timm
    from timm.data.config import resolve_model_data_config
    from timm.models import PretrainedCfg
except ImportError:
    timm = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


def load(
    name: str, weights: str | Path | None = "DEFAULT", *, state: str | None = None, multi_label: bool = False
) -> Classifier:
    """Builds a classifier with the preprocessing of its pretrained configuration, also with other weights.

    Args:
        name: Architecture and, after a dot, the tag of its weights: ``resnet18.a1_in1k``.
        weights: ``DEFAULT`` (downloaded into timm's cache if missing; set HF_HUB_OFFLINE=1 to fail at once without a
            network), a ``.pth`` or ``.safetensors`` file, or None for random weights, the same in every process.
        state: Of a file with weights and their moving average (EMA), ``plain`` or ``ema``; None: the average, if it is
            there, as ``timm.models.load_checkpoint`` does.
        multi_label: True if the outputs are independent.

    Raises:
        MissingExtra: timm is not installed.
        UsageError: The name is unknown or no classifier, or the weights are missing, damaged or cannot be downloaded.
    """
    if timm is None:
        raise MissingExtra("hub", "model=timm")
    configuration = _configuration(name)
    if weights is None:
        logger.warning("%s has random weights: its maps show an untrained network", name)
        network = _build(name, configuration.num_classes)
    elif weights == "DEFAULT":
        network = _pretrained(name, configuration)
    else:
        tensors = read_weights(weights, state=state, ema_first=True)
        network = fill(partial(_build, name), tensors, n_outputs=configuration.num_classes, source=weights)
    return Classifier.wrap(network, name, preprocessing=_preprocessing(network), multi_label=multi_label)


def _configuration(name: str) -> "PretrainedCfg":
    # The list also excludes timm's `hf-hub:` and `local-dir:` names, which load models that it does not list.
    known = [*timm.list_models(), *timm.list_pretrained()]
    configuration = timm.get_pretrained_cfg(name) if name in known else None
    if configuration is None:
        near = get_close_matches(name, known, n=3)
        raise UsageError(f"no timm model '{name}'; {'near: ' + ', '.join(near) if near else 'see timm.list_models()'}")
    if not configuration.num_classes:
        raise UsageError(f"timm model '{name}' has no classes: it returns features; take one that classifies")
    return configuration


def _pretrained(name: str, configuration: "PretrainedCfg") -> nn.Module:
    try:
        return _build(name, configuration.num_classes, pretrained=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: no weights were ever published
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        hub = configuration.hf_hub_id and f"https://huggingface.co/{configuration.hf_hub_id}"
        raise UsageError(
            f"cannot fetch {hub or configuration.url or 'weights of ' + name} ({reason}): give model.weights=FILE"
        ) from error


def _build(name: str, n_outputs: int, *, pretrained: bool = False) -> nn.Module:
    with fixed_seed():
        return timm.create_model(name, num_classes=n_outputs, pretrained=pretrained)


def _preprocessing(network: nn.Module) -> Preprocessing:
    """The preprocessing that timm.data.create_transform makes of the configuration: resize to crop / crop_pct, crop."""
    configuration = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    _, height, width = configuration["input_size"]
    mode, share = configuration["crop_mode"], configuration["crop_pct"]
    if mode == "border" or (mode == "center" and height != width):
        raise UsageError(f"timm's crop_mode '{mode}' to {height} x {width} pixels is not supported: take another model")
    return Preprocessing(
        resize=math.floor(height / share)
        if mode == "center"
        else (math.floor(height / share), math.floor(width / share)),
        crop=(height, width),
        mean=tuple(configuration["mean"]),
        std=tuple(configuration["std"]),
        interpolation=configuration["interpolation"],
    )
