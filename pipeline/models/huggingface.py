"""Loader of Hugging Face image classifiers, by folder or name on the hub (extra ``hub``)."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.data.preprocessing import Preprocessing
from pipeline.errors import MissingExtra, UsageError
from pipeline.models.classifier import Classifier, override
from pipeline.models.image_processor import preprocessing_of
from pipeline.models.weights import fixed_seed, load_weights, read_weights

try:
    import transformers
    from huggingface_hub import try_to_load_from_cache
except ImportError:
    transformers = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

REQUIRED = ("resize", "crop", "mean", "std")
"""Fields of the preprocessing that replace a missing image processor."""
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load(
    name: str,
    weights: str | Path | None = "DEFAULT",
    *,
    state: str | None = None,
    transform: Mapping[str, Any] | None = None,
    multi_label: bool | None = None,
) -> Classifier:
    """Builds a classifier with the preprocessing and class names of its folder. Code in the folder is never run.

    Args:
        name: A folder with ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``, or the hub's name
            of one (fetched into the cache when missing; set HF_HUB_OFFLINE=1 to fail at once without a network).
        weights: ``DEFAULT`` (the folder's), a ``.pth`` or ``.safetensors`` file, or None for random weights, the same
            in every process.
        state: Of a file with weights and their moving average (EMA), ``plain`` or ``ema``; None: the plain ones, if
            they are there.
        transform: Fields of ``Preprocessing`` that differ from the folder's; with ``REQUIRED`` the folder needs no
            ``preprocessor_config.json``.
        multi_label: True if the outputs are independent; None: by ``problem_type`` in the configuration.

    Raises:
        MissingExtra: transformers is not installed.
        UsageError: The folder or name does not exist or is no classifier, its preprocessing cannot be expressed, or
            the weights are missing, damaged, of another network, pickled or cannot be downloaded.
    """
    if transformers is None:
        raise MissingExtra("hub", "model=huggingface")
    if not Path(name).is_dir() and not HUB_NAME.fullmatch(name):
        raise UsageError(f"model.name={name}: no such folder, and no name on the Hugging Face hub (owner/model)")
    try:
        configuration = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        preprocessing = _preprocessing(name, transform or {})
        network = _pretrained(name, configuration) if weights == "DEFAULT" else _random(configuration)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"cannot load {_address(name)} as a Hugging Face image classifier: {reason}") from error
    if weights is None:
        logger.warning("%s has random weights: its maps show an untrained network", name)
    elif weights != "DEFAULT":
        load_weights(network, read_weights(weights, state=state), source=weights)
    names = [configuration.id2label[number] for number in range(configuration.num_labels)]
    if multi_label is None:
        multi_label = configuration.problem_type == "multi_label_classification"
    return Classifier.wrap(network, name, preprocessing=preprocessing, class_names=names, multi_label=multi_label)


def _preprocessing(name: str, transform: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing of the folder with the fields of ``transform``, or these alone if the folder has none."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
    except OSError as error:
        if _has_processor(name):
            raise
        if missing := [f"data.transform.{field}" for field in REQUIRED if field not in transform]:
            raise UsageError(
                f"{_address(name)} has no {PROCESSOR_FILES[0]}: give its preprocessing on the command line, "
                f"{', '.join(missing)} (and data.transform.interpolation, if not bilinear)"
            ) from error
        return override(Preprocessing(None, (1, 1), mean=(0.0,) * 3, std=(1.0,) * 3), **transform)
    return override(preprocessing_of(processor, name), **transform)


def _has_processor(name: str) -> bool:
    """True if the folder, or the cached copy of the hub's, has an image processor."""
    if Path(name).is_dir():
        return any(Path(name, file).exists() for file in PROCESSOR_FILES)
    return any(isinstance(try_to_load_from_cache(name, file), str) for file in PROCESSOR_FILES)


def _random(configuration: "transformers.PreTrainedConfig") -> nn.Module:
    with fixed_seed():
        network: nn.Module = transformers.AutoModelForImageClassification.from_config(
            configuration, dtype=torch.float32, trust_remote_code=False
        )
    return network


def _pretrained(name: str, configuration: "transformers.PreTrainedConfig") -> nn.Module:
    """The network with the folder's own weights; refuses pickled and incomplete ones."""
    network, report = transformers.AutoModelForImageClassification.from_pretrained(
        name,
        config=configuration,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would initialise them at random
        raise ValueError(f"its weights have no {', '.join(missing[:3])}: a network that was not trained to classify")
    pretrained: nn.Module = network
    return pretrained


def _address(name: str) -> str:
    return name if Path(name).is_dir() else f"https://huggingface.co/{name}"
